#!/bin/sh
# Short-lived objects get 4 MiB, not 16: a third less memory at a busy site (test/bench/scale.ts).
exec /usr/lib/provisiond/node --max-semi-space-size=4 /usr/lib/provisiond/dist/lib/main.js "$@"

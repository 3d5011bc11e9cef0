#!/bin/sh
exec /usr/lib/provisiond/node /usr/lib/provisiond/dist/lib/main.js "$@"

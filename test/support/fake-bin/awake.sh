# Which guests answer: $FAKE_WORLD/awake, kept by FakeGuests, says `address domain`; they do while their domains run.
is_awake() {
  [ -f "$FAKE_WORLD/awake" ] || return 1
  while read -r awake domain; do
    [ "$awake" = "$1" ] && read -r state _ 2>/dev/null <"$FAKE_WORLD/domains/$domain/state" || continue
    [ "$state" != 1 ] || return 0
  done <"$FAKE_WORLD/awake"
  return 1
}

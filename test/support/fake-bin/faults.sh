# Faults of a fake world: a file $FAKE_WORLD/faults/<program>[.<verb>], made by FakeHost.fail().
# First line: how many times (-1: always), exit code, seconds of delay or `hang`, `before` or `after` the deed.
# The rest is said on standard error.

fault_before() { _fault before "$1"; }
fault_after() { _fault after "$1"; }

# Fails with the exit code of the fault, when there is one for now.
_fault() {
  _file=$FAKE_WORLD/faults/$2
  [ -f "$_file" ] || return 0
  read -r _times _code _delay _when <"$_file" || return 0
  [ "$_when" = "$1" ] || return 0
  _message=$(sed 1d "$_file")
  case $_times in
  -1) ;;
  1) rm -f "$_file" ;;
  *) printf '%s\n' "$((_times - 1)) $_code $_delay $_when" "$_message" >"$_file" ;;
  esac
  case $_delay in
  0) ;;
  hang) exec sleep 86400 ;;
  *) sleep "$_delay" ;;
  esac
  [ -z "$_message" ] || printf '%s\n' "$_message" >&2
  return "$_code"
}

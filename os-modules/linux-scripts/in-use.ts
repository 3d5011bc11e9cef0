import { BASICS, CONNECTIONS, FIREWALL, PUBLIC_ADDRESS, SITE_SCRIPTS, TAGS, USERS } from './pieces';

/**
 * The user's data for the site's script of that stage, and that script.
 * $1 `data`: the input is the user's data; `none`: there is none.
 */
export const POST_RESERVE = String.raw`${BASICS}${TAGS}${SITE_SCRIPTS}
if [ "$1" = data ]; then
  folder=$HOME/.vclcontrol
  mkdir -p "$folder" && chmod 700 "$folder" && cat > "$folder/post_reserve_userdata.part" &&
    mv "$folder/post_reserve_userdata.part" "$folder/post_reserve_userdata" || fail "the user's data could not be written"
  set_tag vcld_tainted "user data was put on it ($(date))"
fi
run_site_scripts post_reserve
[ -z "$ran" ] || set_tag vcld_tainted "post reserve script was run ($(date))"
`;

/**
 * Is somebody there? Asked again and again, so it is all one look at the kernel's tables.
 * $1 MAC of the public interface, $2 private address, $3 the address that the user announced, $4 a word list of addresses
 * that are no user's, then TCP ports.
 * → @@remote_address, when somebody is
 */
export const IS_USER_CONNECTED = String.raw`${BASICS}${PUBLIC_ADDRESS}${USERS}${CONNECTIONS}
announced=$3 ignored=" $4 "
find_public "$1" "$2" 0
shift 4
connected=$(established "$public" "$@" | while read -r address; do
  case $ignored in *" $address "*) ;; *) echo "$address" ;; esac
done)
[ -n "$connected" ] || exit 0
if echo "$connected" | grep -qxF -e "$announced"; then echo "@@remote_address $announced"; exit 0; fi
# From another address: a connection alone may be a port scan, so one of the accounts must run something.
logins=" $(echo $(own_users) $(added_users)) "
for process in /proc/[0-9]*; do
  login=$(stat -c %U "$process" 2> /dev/null)
  case $logins in *" $login "*) echo "@@remote_address $(echo "$connected" | tail -n 1)"; exit 0 ;; esac
done
`;

/** A user was on it. $1 the user's address or any; then the ports. The machine is tainted before the ports narrow. */
export const POST_INITIAL_CONNECTION = String.raw`${BASICS}${TAGS}${FIREWALL}
grep -q '^vcld_tainted=' "$tags" 2> /dev/null || set_tag vcld_tainted "user logged in ($(date))"
set_ports "$@"
`;

/** A line of input on every terminal of the user; there may be none. $1 login */
export const NOTIFY_USER = String.raw`${BASICS}
IFS= read -r message
for terminal in /dev/pts/[0-9]* /dev/tty[0-9]*; do
  [ "$(stat -c %U "$terminal" 2> /dev/null)" = "$1" ] || continue
  printf '\r\n\007%s\r\n' "$message" > "$terminal" 2> /dev/null
done
true
`;

/**
 * A script of the site, which is the input; it gets no input of its own. $1 seconds that it may take, $2 `taints` when it
 * leaves traces of a user. → @@output: its last lines, with \\001 between them
 */
export const RUN_SCRIPT = String.raw`${BASICS}${TAGS}
folder=$(mktemp -d) || fail "no room for a temporary file"
cat > "$folder/script" && chmod 700 "$folder/script" || fail "no room for the script"
[ "$2" != taints ] || grep -q '^vcld_tainted=' "$tags" 2> /dev/null || set_tag vcld_tainted "a script of the site was run ($(date))"
"$folder/script" > "$folder/output" 2>&1 < /dev/null &
running=$!
( sleep "$1"; echo late > "$folder/late"; kill -9 "$running" ) > /dev/null 2>&1 < /dev/null &
watching=$!
wait "$running"
code=$?
kill "$watching" 2> /dev/null
late=
[ ! -f "$folder/late" ] || late=1
printf '@@output '
tail -n 200 "$folder/output" | tr '\n' '\001'
echo
rm -rf "$folder"
[ -z "$late" ] || fail "took longer than $1 s and was ended"
[ "$code" -eq 0 ] || fail "ended with exit code $code"
`;

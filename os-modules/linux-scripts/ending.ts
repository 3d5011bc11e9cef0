import {
  BASICS,
  CONNECTIONS,
  FIREWALL,
  PUBLIC_ADDRESS,
  REMOVE_USERS,
  SERVICES,
  SITE_SCRIPTS,
  SUDOERS,
  USERS,
} from './pieces';

/**
 * Makes the machine fit for another user, who must find nothing of the last one: refuses when one was there.
 * $1 MAC of the public interface, $2 private address, $3 TCP ports in one word list; input: services to stop.
 */
export const SANITIZE = String.raw`${BASICS}${SERVICES}${PUBLIC_ADDRESS}${USERS}${REMOVE_USERS}${SUDOERS}${CONNECTIONS}${FIREWALL}
grep -q '^vcld_tainted=' "$tags" 2> /dev/null && fail "a user was on it: $(sed -n 's/^vcld_tainted=//p' "$tags")"
find_public "$1" "$2" 0
stop_external_sshd
while IFS= read -r service; do
  [ "$service" = ext_sshd ] || ! service_is_there "$service" || service_do stop "$service" > /dev/null 2>&1
done
set_ports any
connected=$(established "$public" $3)
[ -z "$connected" ] || [ "$public" = "$2" ] || fail "somebody is connected from $(echo $connected)"
for login in $(own_users); do remove_user "$login"; done
for login in $(added_users); do release_user "$login"; done
write_sudoers
`;

/** The site's script of that stage. No arguments. */
export const POST_RESERVATION = String.raw`${BASICS}${SITE_SCRIPTS}
run_site_scripts post_reservation
`;

/** $1 `reboot` or `poweroff`. Answers first, then goes down: the connection is to end in peace. */
export const GO_DOWN = String.raw`${BASICS}
how=-r
[ "$1" = reboot ] || how=-h
sync
if have shutdown; then set -- shutdown $how now; fi
( sleep 1; exec "$@" ) > /dev/null 2>&1 < /dev/null &
`;

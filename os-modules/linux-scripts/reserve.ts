import { BASICS, PUBLIC_ADDRESS, REMOVE_USERS, SUDOERS, USERS } from './pieces';

/**
 * Makes the accounts, and removes those of earlier reservations.
 * $1 MAC of the public interface, $2 private address, $3 seconds to wait for a public address;
 * input: for each account the lines login, uid, `root` or `user`, `set` or `keep` (a password that is there already),
 * password, number of keys, and the keys.
 * → @@public_address
 */
export const RESERVE = String.raw`${BASICS}${PUBLIC_ADDRESS}${USERS}${REMOVE_USERS}${SUDOERS}
field() { awk -F: -v login="$1" -v field="$2" '$1 == login { print $field; exit }' /etc/passwd; }
make_group() {
  grep -q '^vcl:' /etc/group && return
  if have groupadd; then groupadd vcl; else addgroup vcl; fi || fail "the group vcl could not be made"
}
make_user() {
  shell=/bin/sh
  [ ! -x /bin/bash ] || shell=/bin/bash
  if have useradd; then set -- useradd -m -d "/home/$login" -s "$shell" -g vcl
  else set -- adduser -D -h "/home/$login" -s "$shell" -G vcl; fi
  if [ -n "$uid" ]; then
    if cut -d: -f3 /etc/passwd | grep -qx -e "$uid"; then echo "uid $uid is taken, $login gets another"
    else set -- "$@" -u "$uid"; fi
  fi
  said=$("$@" "$login" 2>&1) || fail "the account $login could not be made: $(echo $said)"
  chown "$login:vcl" "/home/$login"
}
join_group() {
  [ "$(field "$1" 3)" -ge 1000 ] || fail "$1 is a system account of the image"
  if have usermod; then usermod -a -G vcl "$1"; else addgroup "$1" vcl; fi || fail "$1 could not join the group vcl"
}
# As the user: a link in a home that leads elsewhere must not make root write there.
add_keys() {
  su -s /bin/sh -c 'umask 077; mkdir -p ~/.ssh && while IFS= read -r key; do
    grep -qxF -e "$key" ~/.ssh/authorized_keys 2> /dev/null || printf "%s\n" "$key" >> ~/.ssh/authorized_keys || exit 1
  done' "$1" || fail "the keys of $1 could not be written"
}

next_lines() {
  count=$1
  while [ "$count" -gt 0 ] && IFS= read -r line; do printf '%s\n' "$line"; count=$((count - 1)); done
}

make_group
wanted=' ' roots=
had=$(own_users)
while IFS= read -r login; do
  IFS= read -r uid && IFS= read -r role && IFS= read -r how && IFS= read -r password && IFS= read -r keys || fail "the list of accounts was cut off"
  wanted="$wanted$login "
  [ "$role" != root ] || roots="$roots $login"
  if [ -z "$(field "$login" 1)" ]; then make_user; how=set
  elif ! echo "$had" | grep -qxF -e "$login"; then
    added_users | grep -qwF -e "$login" || { join_group "$login"; how=set; }
  fi
  [ -z "$password" ] || [ "$how" = keep ] || printf '%s:%s\n' "$login" "$password" | chpasswd || fail "the password of $login could not be set"
  [ "$keys" -eq 0 ] || next_lines "$keys" | add_keys "$login" || exit 1
done
for login in $had; do case $wanted in *" $login "*) ;; *) remove_user "$login" ;; esac; done
for login in $(added_users); do case $wanted in *" $login "*) ;; *) release_user "$login" ;; esac; done
write_sudoers $roots
find_public "$1" "$2" "$3"
echo "@@public_address $public"
`;

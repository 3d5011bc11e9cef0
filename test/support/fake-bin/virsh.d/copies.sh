# Copies of disks of domains that are up, and the agent of their guests: a file `agent` in a domain's folder says that there is one.

# Jobs of this world are over when their beginning returns: the copies are there, as they were at that moment.
verb_backup_begin() {
  demand_active 'backup' || return 1
  [ ! -f "$dir/frozen" ] || : >"$dir/copied-frozen"
  [ "$state" != 3 ] || : >"$dir/copied-still"
  tr '>' '\n' <"$opt_backupxml" | sed -n 's/.*<disk name="\([^"]*\)" backup="yes".*/disk \1/p; s/.*<driver type="\([^"]*\)".*/format \1/p; s/.*<target file="\([^"]*\)".*/file \1/p' >"$dir/order"
  target= format= made=
  while read -r word value; do
    case $word in
    disk) target=$value ;;
    format) format=$value ;;
    file)
      source=$(awk -F'|' -v target="$target" '$1 == "disk" && $4 == target { print $5 }' "$dir/facts")
      made="$made $value"
      [ ! -e "$value" ] && qemu-img convert -U -f "${source##*.}" -O "$format" "$source" "$value" || {
        rm -f $made "$dir/order"
        complain "internal error: unable to execute QEMU command 'blockdev-add': Could not create '$value'"
        return 1
      } ;;
    esac
  done <"$dir/order"
  rm -f "$dir/order"
  : >"$dir/backed-up"
  say 'Backup started'
}

verb_blockjob() {
  demand_active 'blockjob' || return 1
  if [ -f "$dir/block-job" ]; then printf 'Block Copy: [ 50 %%]\n'; else say "No current block job for $opt_path"; fi
}

require_agent() {
  demand_active 'ask the agent' || return 1
  [ -f "$dir/agent" ] && return 0
  complain "$1" 'argument unsupported: QEMU guest agent is not configured'
  return 1
}

verb_qemu_agent_command() {
  require_agent 'failed to ask' || return 1
  printf '{"return":{}}\n'
}

verb_domfsfreeze() {
  lock
  require_agent 'Unable to freeze filesystems' || return 1
  [ ! -f "$dir/frozen" ] || { complain 'Unable to freeze filesystems' 'internal error: the command guest-fsfreeze-freeze has been disabled'; return 1; }
  : >"$dir/frozen"
  printf 'freeze\n' >>"$dir/agent"
  say 'Froze 1 filesystem(s)'
}

verb_domfsthaw() {
  lock
  require_agent 'Unable to thaw filesystems' || return 1
  [ ! -f "$dir/frozen" ] || printf 'thaw\n' >>"$dir/agent"
  rm -f "$dir/frozen"
  say 'Thawed 1 filesystem(s)'
}

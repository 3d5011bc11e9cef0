# The host itself.

verb_echo() {
  out=
  while [ -n "$words" ]; do
    out="$out${out:+ }${words%%"$unit"*}"
    words=${words#*"$unit"}
  done
  printf %s "$out"
}

verb_version() {
  printf '%s\n' 'Compiled against library: libvirt 9.0.0' 'Using library: libvirt 9.0.0' 'Using API: QEMU 9.0.0' \
    'Running hypervisor: QEMU 7.2.22'
}

verb_uri() { printf '%s\n' "$uri"; }
verb_hostname() { cat "$FAKE_WORLD/hostname"; }

# What libvirt offers on this host: words of $FAKE_WORLD/domain-types
domain_types() { read -r types <"$FAKE_WORLD/domain-types"; }

verb_capabilities() {
  domain_types
  printf '<capabilities>\n\n  <host>\n    <uuid>0bbdbf8c-32b8-4f65-ae46-efd3df602463</uuid>\n    <cpu>\n'
  printf '      <arch>x86_64</arch>\n    </cpu>\n  </host>\n\n'
  print_guest 32 i686
  print_guest 64 x86_64
  printf '</capabilities>\n\n'
}

print_guest() {
  printf "  <guest>\n    <os_type>hvm</os_type>\n    <arch name='%s'>\n      <wordsize>%s</wordsize>\n" "$2" "$1"
  printf '      <emulator>/usr/bin/qemu-system-%s</emulator>\n' "$([ "$1" = 64 ] && echo x86_64 || echo i386)"
  printf "      <machine maxCpus='255'>pc-i440fx-7.2</machine>\n"
  printf "      <machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>\n"
  for type in $types; do printf "      <domain type='%s'/>\n" "$type"; done
  printf '    </arch>\n  </guest>\n\n'
}

verb_domcapabilities() {
  domain_types
  type=${opt_virttype:-${types##* }}
  case " $types " in
  *" $type "*) ;;
  *)
    complain 'failed to get emulator capabilities' \
      "invalid argument: the accel '$type' is not supported by '/usr/bin/qemu-system-x86_64' on this host"
    return 1 ;;
  esac
  printf '<domainCapabilities>\n  <path>/usr/bin/qemu-system-x86_64</path>\n  <domain>%s</domain>\n' "$type"
  printf "  <machine>pc-i440fx-7.2</machine>\n  <arch>x86_64</arch>\n  <vcpu max='255'/>\n"
  [ -f "$FAKE_WORLD/no-backup" ] || printf "  <features>\n    <backup supported='yes'/>\n  </features>\n"
  printf '</domainCapabilities>\n'
}

# $FAKE_WORLD/links: `name active|inactive mac` a line
verb_iface_list() {
  rows="Name|State|MAC Address$newline"
  [ ! -f "$FAKE_WORLD/links" ] || while read -r link link_state mac; do
    if [ "$link_state" = active ]; then [ -z "$flag_inactive" ] || continue
    else [ -n "$flag_all$flag_inactive" ] || continue; fi
    rows="$rows$link|$link_state|$mac$newline"
  done <"$FAKE_WORLD/links"
  table "$rows"
}

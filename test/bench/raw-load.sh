#!/usr/bin/env bash
# The floor of a load: what a shell script does that only wants a guest with a user in it, and asks nothing, checks
# nothing and remembers nothing. One ssh connection to the host, which is open before the clock runs, as provisiond's is;
# one to the guest. Prints `host`, `boot` and `guest` with their milliseconds.
#
# Variables: host_key guest_key folder hold base network name mac ip user; standard input: the domain XML. The machine is taken
# down when the file `hold` is gone.
set -euo pipefail
options=(-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=1)
on_host() { ssh "${options[@]}" -S "$folder/host.sock" root@127.0.0.1 "$@"; }
in_guest() {
  ssh "${options[@]}" -i "$guest_key" -o ControlMaster=auto -o ControlPath="$folder/guest.sock" -o ControlPersist=60 \
    root@"$ip" "$@"
}
lap() { # NAME: milliseconds since the last lap
  local now=${EPOCHREALTIME/./}
  echo "$1 $(((now - last) / 1000))"
  last=$now
}

tear_down() {
  ssh "${options[@]}" -S "$folder/guest.sock" -O exit root@"$ip" || true
  on_host "virsh -q destroy $name; virsh -q undefine $name; rm -f $folder/$name.*
    virsh -q net-update $network delete ip-dhcp-host \"<host mac='$mac'/>\" --live --config" || true
  ssh "${options[@]}" -S "$folder/host.sock" -O exit root@127.0.0.1
}

ssh "${options[@]}" -i "$host_key" -M -S "$folder/host.sock" -f -N root@127.0.0.1
trap 'tear_down > /dev/null 2>&1' EXIT

last=${EPOCHREALTIME/./}
on_host "set -e
  virsh -q net-update $network add ip-dhcp-host \"<host mac='$mac' name='$name' ip='$ip'/>\" --live --config
  qemu-img create -q -f qcow2 -F qcow2 -b $base $folder/$name.qcow2
  cat > $folder/$name.xml
  virsh -q define $folder/$name.xml
  virsh -q start $name" > /dev/null
lap host
until in_guest true 2> /dev/null; do sleep 0.02; done
lap boot
in_guest "set -e
  hostname $name
  echo $name > /etc/hostname
  echo root:secret-of-root | chpasswd
  groupadd vcl
  useradd -m -g vcl -s /bin/bash $user
  echo $user:secret-of-user | chpasswd
  until ifconfig eth1 | grep -q 'inet addr'; do sleep 0.1; done
  echo loaded > /root/currentimage.txt
  sync" > /dev/null
lap guest
while [ -e "$hold" ]; do sleep 0.1; done

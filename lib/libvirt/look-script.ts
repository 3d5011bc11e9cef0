/**
 * The one script that answers everything a run of steps needs to know of a host. It changes nothing.
 *
 * Positional parameters: `$1` mark `$2` short name `$3` computer id `$4` private network `$5` datastore `$6` image
 * `$7` repository or empty `$8` folder of the disks `$9` folder of the XML files `${10}` `${11}` MACs of the computer.
 */
import { IMAGE_FILES } from '../images/image-sight';
import { ASK_STATE } from './domain-state';
import { SECTION } from './sections';

/**
 * Sets `candidates`: UUIDs of the domains that may concern the computer `$short`, `$computer`, `$disks`, out of `$lists`.
 * Those of which the name says nothing are found by our metadata, its disks, or `$private_mac` and `$public_mac` where they
 * are set, in libvirt's own files.
 */
export const CANDIDATES = `
candidates=$(
  printf '%s\\n' "$lists" | sed "1,/^@@$mark domains\\$/d" | while read -r uuid name; do
    case $name in "$short" | "$short"[:_]* | "$computer" | "$computer"[:_]*) printf '%s\\n' "$uuid" ;; esac
  done
  grep -ls -e "computerId=\\"$computer\\"" -e "$disks/\${short}_" -e "<mac address='\${private_mac:-none}'" \\
    -e "<mac address='\${public_mac:-none}'" /etc/libvirt/*/*.xml | while IFS= read -r file; do
    sed -n 's|^ *<uuid>\\([0-9a-f-]*\\)</uuid>.*|\\1|p' "$file" | head -n 1
  done
)`;

/**
 * Domains are asked for in two goes: first all names, in one virsh with the networks; then XML and state of those that
 * may concern the computer: by name, or by our metadata, its disks or its MACs in libvirt's own files, which finds renamed
 * ones and strangers.
 * State and XML of each in one virsh: libxl has no `domstats`.
 */
export const LOOK = `
set -u
mark=$1 short=$2 computer=$3 network=$4 datastore=$5 image=$6 repository=$7 disks=$8 xmls=$9 private_mac=\${10} public_mac=\${11}
${SECTION}
${ASK_STATE}
${IMAGE_FILES}

lists=$(virsh -q "echo '
@@$mark managed-save
'; list --all --with-managed-save --uuid; echo '
@@$mark persistent
'; list --all --persistent --uuid; echo '
@@$mark networks
'; net-list --all --name; echo '
@@$mark active-networks
'; net-list --name; echo '
@@$mark persistent-networks
'; net-list --all --persistent --name; echo '
@@$mark domains
'; list --all --uuid --name") || exit 1
printf '%s\\n' "$lists"

${CANDIDATES}
statements=
for uuid in $(printf '%s\\n' $candidates | sort -u); do
  ask_state
  statements="$statements; echo '
@@$mark domain $uuid
'; dumpxml $uuid"
done
if printf '%s\\n' "$lists" | grep -Fxq -e "$network"; then
  statements="\${statements:+$statements; }echo '
@@$mark private-network
'; net-dumpxml $network"
fi
[ -z "$statements" ] || virsh -q "$statements" || true

section bridges
for bridge in /sys/class/net/*/bridge; do
  [ ! -d "$bridge" ] || { bridge=\${bridge%/bridge}; printf '%s\\n' "\${bridge##*/}"; }
done
section files
for file in "$disks/$short"_* "$xmls/$short"_*; do [ ! -e "$file" ] || printf '%s\\n' "$file"; done
section datastore
image_files "$datastore" "$image.*"
section repository
[ -z "$repository" ] || image_files "$repository" "$image*"
section disk-filesystem
folder=$disks
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
df -PTk "$folder" | awk 'END { print $2, $5 }'
section master-xml
# Of an image that is still to be copied it comes with it.
for file in "$datastore/$image.xml" \${repository:+"$repository/$image/$image.xml" "$repository/$image.xml"}; do
  [ ! -f "$file" ] || { head -c 262144 "$file"; break; }
done
exit 0
`;

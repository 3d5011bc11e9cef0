/**
 * Shell: `pivot_back UUID TARGET LEAF`: a guest that writes to a leaf upon its disk, so that the disk can be copied, goes on in the disk. Done
 * already is well.
 */
export const PIVOT_BACK = `
disk_of() { virsh -q domblklist "$1" | awk -v target="$2" '$1 == target { sub(/^ *[^ ]+ +/, ""); print }'; }
pivot_back() {
  if [ "$(disk_of "$1" "$2")" = "$3" ]; then
    # Never without --shallow: that would merge into the deepest file, which others stand on.
    virsh -q blockcommit "$1" "$2" --active --shallow --pivot --wait >/dev/null || return 1
    [ "$(disk_of "$1" "$2")" != "$3" ] || return 1
  fi
  rm -f "$3"
}
`;

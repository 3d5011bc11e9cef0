import { BASICS } from './pieces';

/** What `currentimage.txt` says. → @@imagerevision_id, @@vcld_post_load, @@vcld_tainted, where there are; @@boot_id */
export const STATUS = String.raw`${BASICS}
read -r boot_id < /proc/sys/kernel/random/boot_id && echo "@@boot_id $boot_id"
[ -f "$tags" ] || exit 0
while IFS='=' read -r name value || [ -n "$name" ]; do
  case $name in imagerevision_id | vcld_post_load | vcld_tainted) echo "@@$name $value" ;; esac
done < "$tags"
`;

/** What an image says of itself in `currentimage.txt`, as the status scripts of all systems tell it. */
import type { GuestStatus, StageResults } from '../../lib/plugins/api';

export function readMarks(found: StageResults): GuestStatus {
  const revision = /^\d+/.exec(found.imagerevision_id ?? '');
  return {
    imageRevisionId: revision ? Number(revision[0]) : null,
    postLoadDone: found.vcld_post_load?.startsWith('success') ?? false,
    tainted: found.vcld_tainted !== undefined,
    ...(found.boot_id && { bootId: found.boot_id }),
  };
}

/**
 * Empties the trash: what was replaced, once its time is over, and at once when its VM was loaded anew, for then it can come
 * back to nobody and may be a former user's. A row that somebody took to bring it back is left alone.
 */
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import type { Log } from '../log';
import type { HostFacts } from '../model/reservation';
import type { Lease, Store, Trash } from '../store/store';

export interface TrashParts {
  readonly store: Store;
  readonly hosts: { get(facts: HostFacts): Host };
}

/**
 * `$1` folder of one operation. Not fenced: its name is no other work's, and who takes it out of the trash has taken its row
 * before. A file that a guest has open is left, and told.
 */
const PURGE = `
set -u
[ -d "$1" ] || exit 0
for file in "$1"/*; do
  [ -f "$file" ] || continue
  format=\${file##*.}
  if ! qemu-img info -f "$format" "$file" >/dev/null 2>&1 && qemu-img info -U -f "$format" "$file" >/dev/null 2>&1; then
    echo "error: $file is open in a guest" >&2
    exit 1
  fi
  rm -f "$file" || exit 1
done
rmdir "$1" && rmdir "\${1%/*}" 2>/dev/null || :
`;

/** @returns how many changes can be undone no more */
export async function emptyTrash({ store, hosts }: TrashParts, lease: Lease, log: Log): Promise<number> {
  let purged = 0;
  for (const trash of await dueTrash(store, lease)) {
    try {
      const host = (await store.vmComputer(trash.computerId))?.host;
      if (!host) throw new ProvisiondError('COMPUTER_NOT_ASSIGNED', `its computer is on no host any more`);
      if (!(await store.takeTrash(lease, trash.operationId, 'purging'))) continue;
      if (!isTrash(trash.folder)) throw new ProvisiondError('INTERNAL', `${trash.folder} is no trash of ours`);
      await hosts.get(host).run(script(PURGE, trash.folder));
      await store.forgetTrash(lease, trash.operationId);
      purged += 1;
    } catch (error) {
      log.warn('what was replaced could not be removed; tried again later', { folder: trash.folder, error });
    }
  }
  return purged;
}

const isTrash = (folder: string): boolean => /^\/.*\/\.trash\/[^/]+\.\d+$/.test(folder) && !folder.includes('/../');

async function dueTrash(store: Store, lease: Lease): Promise<Trash[]> {
  const due = await store.expiredTrash(lease);
  const kept = (await store.listTrash(null)).filter(({ state }) => state === 'kept');
  for (const trash of kept) {
    if (due.some(({ operationId }) => operationId === trash.operationId)) continue;
    const computer = await store.vmComputer(trash.computerId);
    const { domain } = JSON.parse(trash.plan) as { domain: { uuid: string } };
    const uuid = computer?.known?.uuid ?? null;
    if (computer?.host && uuid !== null && uuid !== domain.uuid) due.push(trash);
  }
  return due;
}

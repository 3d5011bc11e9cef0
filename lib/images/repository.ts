/** Whether a repository is where it should be: an empty folder under its mount point looks like one without images. */
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';

/** `is_mounted FOLDER`: it is there, and the longest mount point of fstab that holds it is mounted. */
export const IS_MOUNTED = `
is_mounted() {
  [ -d "$1" ] || return 1
  wanted=$(awk -v folder="$1/" '$1 !~ /^#/ && $2 != "/" && index(folder, $2 "/") == 1 && length($2) > length(best) {
    best = $2 } END { print best }' /etc/fstab 2>/dev/null)
  [ -z "$wanted" ] || mountpoint -q "$wanted"
}`;

const CHECK = `${IS_MOUNTED}
is_mounted "$1"`;

/** @throws IMAGE_COPY_FAILED, which blames the host */
export async function requireRepository(host: Host, folder: string): Promise<void> {
  const { exitCode } = await host.run(script(CHECK, folder), { expect: 'any' });
  if (exitCode !== 0) throw repositoryNotMounted(host, folder);
}

export function repositoryNotMounted(host: Host, folder: string): ProvisiondError {
  const message = `the repository ${folder} is not mounted on host ${host.name}`;
  return new ProvisiondError('IMAGE_COPY_FAILED', message, {
    blame: 'host',
    hint: `Mount it on the host: mount ${folder}`,
    retryable: false,
  });
}

/**
 * `retrieve_image`: fetches an image that this management node does not have from one that has it, over ssh, into the repository as
 * this node sees it. What was fetched stays where a connection breaks, under a name with the checksum of its source, and the
 * next attempt goes on from there; the checksum of the whole decides.
 */
import path from 'node:path';
import { describeError, ProvisiondError } from '../errors';
import { atExit } from '../host/at-exit';
import { type Host, script } from '../host/host';
import { pause } from '../host/deadline';
import { quoteCommand } from '../host/shell-quote';
import { type ImagePartner, imageSearchPaths } from '../model/image-library';
import { followProgress } from './copy-work';
import { EXIT, SUM_OF, TELL_PROGRESS } from './qemu-img';
import { requireRepository } from './repository';
import { oneAfterAnother } from './turns';

export interface RetrievalParts {
  /** This management node. */
  readonly local: Host;
  readonly imageName: string;
  /** The repository, mounted here as on the hosts. */
  readonly repositoryPath: string;
  readonly partners: readonly ImagePartner[];
  /** Keys of partners are taken at the first connection and held to from then on. */
  readonly knownHostsFile: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (percent: number) => void;
}

interface RemoteFile {
  readonly path: string;
  readonly sizeBytes: number;
}

interface Offer {
  readonly partner: ImagePartner;
  readonly files: readonly RemoteFile[];
}

/** What is not an image and not a description of one is left where it is. */
const LEFT_BEHIND = /\.(part|lock|sha256|reference|vmx|txt)$/;
const ASK_TIMEOUT_MS = 30_000;
const PAUSE_MS = 1000;

/** `$@`: patterns. Prints `<size> <path>` of the files that fit and of those in folders that fit. */
const LIST = `for pattern; do find $pattern -type f -exec stat -c '%s %n' {} + 2>/dev/null; done; exit 0`;

/**
 * @returns the partner's name and the files that are in the repository now; null when no partner has the image
 * @throws IMAGE_COPY_FAILED, HOST_DISK_FULL, NOT_FOUND when the repository is not mounted here
 */
export async function retrieveImage(parts: RetrievalParts): Promise<{ partner: string; files: string[] } | null> {
  const { local, imageName, repositoryPath, partners, onProgress } = parts;
  if (partners.length === 0) return null;
  await requireRepository(local, repositoryPath).catch((cause: unknown) => {
    const message = `image ${imageName} cannot be retrieved: the repository ${repositoryPath} is not mounted on ${local.name}`;
    throw new ProvisiondError('NOT_FOUND', message, { cause, hint: 'Mount the repository on the management node too' });
  });
  return oneAfterAnother(
    `retrieve ${imageName}`,
    async (tell) => {
      const offer = await findOffer(parts);
      if (!offer) return null;
      const files: string[] = [];
      // The description last: whoever sees it finds the image beside it.
      const ordered = [...offer.files].sort(
        (a, b) => Number(a.path.endsWith('.xml')) - Number(b.path.endsWith('.xml')),
      );
      for (const file of ordered) files.push(await fetchFile(parts, offer.partner, file, tell));
      return { partner: offer.partner.name, files };
    },
    onProgress,
  );
}

/** The largest copy, as in VCL; of equals the one whose node has the lowest id. */
async function findOffer(parts: RetrievalParts): Promise<Offer | null> {
  const asked = await Promise.allSettled(parts.partners.map((partner) => askPartner(parts, partner)));
  const offers = asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const withFiles = offers.filter(({ files }) => files.some(({ path: file }) => !file.endsWith('.xml')));
  const [best] = withFiles.sort((a, b) => sizeOf(b) - sizeOf(a));
  if (best) return best;
  const failed = asked.flatMap((answer) => (answer.status === 'rejected' ? [describeError(answer.reason)] : []));
  if (failed.length === 0) return null;
  // Not to know is not the same as not to have.
  throw new ProvisiondError(
    'IMAGE_COPY_FAILED',
    `looking for image ${parts.imageName} on other management nodes: ${failed.join('; ')}`,
  );
}

const sizeOf = ({ files }: Offer) => files.reduce((total, { sizeBytes }) => total + sizeBytes, 0);

async function askPartner(parts: RetrievalParts, partner: ImagePartner): Promise<Offer> {
  const { local, imageName, repositoryPath, signal } = parts;
  const patterns = imageSearchPaths(imageName, partner.installPath, repositoryPath);
  // The other shell expands them, so they must hold nothing else that it would.
  const odd = patterns.find((pattern) => !/^\/[A-Za-z0-9._/-]+\*$/.test(pattern));
  if (odd !== undefined) {
    const message = `management node ${partner.name} cannot be asked for images in ${JSON.stringify(odd)}`;
    throw new ProvisiondError('REQUEST_INVALID', message, { blame: 'config' });
  }
  const argv = sshTo(parts, partner, script(LIST, ...patterns));
  const { stdout } = await local.run(argv, { timeoutMs: ASK_TIMEOUT_MS, signal });
  const byName = new Map<string, RemoteFile>();
  for (const line of stdout.split('\n')) {
    const found = /^(\d+) (\/.+)$/.exec(line);
    if (!found || !isOfImage(imageName, found[2]!)) continue;
    const file = { sizeBytes: Number(found[1]), path: found[2]! };
    const name = path.posix.basename(file.path);
    if ((byName.get(name)?.sizeBytes ?? -1) < file.sizeBytes) byName.set(name, file);
  }
  return { partner, files: [...byName.values()] };
}

/** `<image>.<extension>`, or a part of a split vmdk; of no other revision whose name begins alike. */
function isOfImage(imageName: string, file: string): boolean {
  const name = path.posix.basename(file);
  const rest = name.toLowerCase().startsWith(imageName.toLowerCase()) ? name.slice(imageName.length) : '';
  return /^(?:\.[a-z0-9]+|-(?:[sf]\d+|flat)\.vmdk)$/i.test(rest) && !LEFT_BEHIND.test(name);
}

/**
 * `$1` final `$2` part `$3` lock `$4` size `$5` checksum `$6` seconds `$7` the remote file, quoted for its shell; then the ssh.
 * Exits with 76 when the connection broke: what came stays.
 */
const FETCH = `
set -eu
${SUM_OF}${TELL_PROGRESS}
final=$1 part=$2 lock=$3 size=$4 sum=$5 seconds=$6 remote=$7
shift 7
echo "@@total $(((size + 1023) / 1024))"
mkdir -p "\${final%/*}"
tell_progress & watcher=$!
${atExit('kill $watcher 2>/dev/null || :')}
exec 9>>"$lock"
flock -w "$seconds" 9 || exit ${EXIT.lockTimeout}
[ ! -e "$final" ] || exit 0
for file in "$final".*.part; do [ "$file" = "$part" ] || rm -f "$file"; done
have=$(stat -c %s "$part" 2>/dev/null || echo 0)
[ "$have" -le "$size" ] || { rm -f "$part"; have=0; }
free=$(df -Pk "\${final%/*}" | awk 'END { print $4 }')
[ "$free" -ge $(((size - have) / 1024)) ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
echo "@@resumed $have"
if [ "$have" -lt "$size" ]; then
  timeout --foreground "$seconds" "$@" "tail -c +$((have + 1)) -- $remote" >>"$part" || exit 76
fi
[ "$(stat -c %s "$part")" -eq "$size" ] || exit 76
if [ "$(sum_of "$part")" != "$sum" ]; then rm -f "$part"; exit ${EXIT.wrongSum}; fi
chmod 0644 "$part"
sync "$part"
mv "$part" "$final"
printf '%s  %s\\n' "$sum" "\${final##*/}" >"$final.sha256.part" && mv "$final.sha256.part" "$final.sha256"
`;

const BROKEN = 76;

async function fetchFile(
  parts: RetrievalParts,
  partner: ImagePartner,
  file: RemoteFile,
  tell: (percent: number) => void,
): Promise<string> {
  const { local, imageName, repositoryPath, timeoutMs, signal } = parts;
  const final = path.posix.join(repositoryPath, imageName, path.posix.basename(file.path));
  const doing = `retrieving ${file.path} from management node ${partner.name} to ${final}`;
  // Who waited for its turn finds it here, and need not have the other node read the whole of it once more.
  if ((await local.run(['test', '-e', final], { expect: [0, 1] })).exitCode === 0) return final;
  const sum = await sumAt(parts, partner, file);
  const args = [final, `${final}.${sum.slice(0, 16)}.part`, `${repositoryPath}/.${imageName}.retrieval.lock`];
  const seconds = Math.max(1, Math.floor(timeoutMs / 1000));
  const ssh = sshTo(parts, partner, []);
  const argv = script(FETCH, ...args, file.sizeBytes, sum, seconds, quoteCommand([file.path]), ...ssh);
  const onStdout = followProgress(tell);
  for (let before = -1; ;) {
    const { exitCode, stdout, stderr } = await local.run(argv, { timeoutMs, signal, expect: 'any', onStdout });
    if (exitCode === 0) return final;
    const resumedAt = Number(/^@@resumed (\d+)$/m.exec(stdout)?.[1] ?? -1);
    // As long as each attempt brings more, it is worth another.
    if (exitCode === BROKEN && resumedAt > before) {
      before = resumedAt;
      await pause(PAUSE_MS, signal);
      continue;
    }
    throw failure(exitCode, `${doing}`, stderr);
  }
}

function failure(exitCode: number, doing: string, stderr: string): ProvisiondError {
  if (exitCode === EXIT.diskFull) return new ProvisiondError('HOST_DISK_FULL', `${doing}: the folder is full`);
  const reasons: Record<number, string> = {
    [EXIT.wrongSum]: 'what came is not what the other node has',
    [EXIT.lockTimeout]: 'another retrieval did not come to its end',
    [BROKEN]: `the connection broke: ${stderr.trim()}`,
  };
  return new ProvisiondError('IMAGE_COPY_FAILED', `${doing}: ${reasons[exitCode] ?? stderr.trim()}`);
}

async function sumAt(parts: RetrievalParts, partner: ImagePartner, file: RemoteFile): Promise<string> {
  const argv = sshTo(parts, partner, script(`${SUM_OF}\nsum_of "$1"`, file.path));
  const { stdout } = await parts.local.run(argv, { timeoutMs: parts.timeoutMs, signal: parts.signal });
  if (/^[0-9a-f]{64}$/.test(stdout.trim())) return stdout.trim();
  throw new ProvisiondError('IMAGE_COPY_FAILED', `management node ${partner.name} gave no checksum of ${file.path}`);
}

/** A dead connection is noticed within a minute; nobody is asked for anything. */
function sshTo({ knownHostsFile }: RetrievalParts, partner: ImagePartner, remote: readonly string[]): string[] {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=accept-new',
    `UserKnownHostsFile=${knownHostsFile}`,
    'ConnectTimeout=10',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
    'IdentitiesOnly=yes',
    'Compression=no',
  ].flatMap((option) => ['-o', option]);
  const { keyFile, port, user, address } = partner;
  const argv = ['ssh', '-F', 'none', ...options, '-i', keyFile, '-p', String(port), '-l', user, '--', address];
  return remote.length === 0 ? argv : [...argv, quoteCommand(remote)];
}

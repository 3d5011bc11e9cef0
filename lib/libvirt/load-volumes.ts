/** The volumes that a load makes beside the system volume. */
import { ProvisiondError } from '../errors';
import { explain } from '../images/copy-work';
import { IN_THE_WAY, MAKE_VOLUME, REMOVE_VOLUMES } from '../images/volume-scripts';
import type { HostedComputer, LoadedVolume } from './hosted-computer';

/** An empty disk needs no more before a guest has written anything. */
const BLANK_NEEDS_KIB = 1024;

/**
 * A temporary volume is made anew, whatever stands there: it is of an earlier load. A data volume that is there is the
 * computer's own, and is what the VM is to have.
 * @throws HOST_DISK_FULL, COMMAND_FAILED, CLAIM_LOST
 */
export async function makeVolume(computer: HostedComputer, volume: LoadedVolume): Promise<void> {
  const { path: file, format, sizeMiB, type } = volume;
  const doing = `making volume ${file}`;
  const folder = computer.profile.vmPath;
  const work = { doing, folder, neededKiB: BLANK_NEEDS_KIB, failure: 'COMMAND_FAILED' } as const;
  if (type === 'temporary') {
    const removed = await computer.runScript(REMOVE_VOLUMES, [file, format], doing);
    if (removed.exitCode !== 0) throw explain(computer.host.name, work, removed);
  }
  const args = ['blank', file, computer.unfinished(file), BLANK_NEEDS_KIB, format, sizeMiB * 2 ** 20, '', '', ''];
  const result = await computer.runScript(MAKE_VOLUME, args, doing);
  if (result.exitCode === 0 || (result.exitCode === IN_THE_WAY && type === 'data')) return;
  if (result.exitCode !== IN_THE_WAY) throw explain(computer.host.name, work, result);
  throw new ProvisiondError('CONFLICT', `${doing} on host ${computer.host.name}: there is a file of that name`);
}

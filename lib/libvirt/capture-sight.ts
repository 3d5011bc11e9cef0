/** What is known of a capture's machine and files, until something is changed. */
import { ProvisiondError } from '../errors';
import { script } from '../host/host';
import { type CaptureLook, readCaptureLook } from '../images/capture-look';
import { LOOK_FOR_CAPTURE } from '../images/capture-scripts';
import { capturedImageName } from '../model/names';
import { type CapturedMachine, findMachine } from './capture-source';
import type { HostedComputer } from './hosted-computer';
import { drawMark, splitSections } from './sections';
import { virshError } from './virsh';

export class CaptureSight {
  private known: Promise<CaptureLook> | null = null;

  constructor(readonly computer: HostedComputer) {}

  /** The base name of the new files. */
  get imageName(): string {
    return capturedImageName(this.computer.reservation.image);
  }

  /** @throws DOMAIN_NOT_FOUND, CONFLICT */
  async machine(): Promise<CapturedMachine> {
    return findMachine(this.computer, await this.computer.view.current());
  }

  /** Files as they were when we last changed something. */
  look(): Promise<CaptureLook> {
    const look = (this.known ??= this.lookAfresh());
    look.catch(() => this.forget());
    return look;
  }

  forget(): void {
    this.known = null;
  }

  /** A script that changes files. @throws COMMAND_FAILED, CLAIM_LOST */
  async change(text: string, args: (string | number)[], doing: string): Promise<void> {
    const where = `${doing} on host ${this.computer.host.name}`;
    try {
      const result = await this.computer.runScript(text, args, where);
      if (result.exitCode !== 0) throw virshError('COMMAND_FAILED', where, result);
    } finally {
      this.forget();
    }
  }

  private async lookAfresh(): Promise<CaptureLook> {
    const { computer, imageName } = this;
    const { profile } = computer;
    const machine = await this.machine().catch(() => null);
    const mark = drawMark();
    const disk = machine?.disk ?? { path: '', format: '' };
    const argv = script(
      LOOK_FOR_CAPTURE,
      ...[mark, disk.path, disk.format, profile.datastoreFormat],
      ...[profile.datastorePath, imageName, profile.repositoryPath ?? ''],
    );
    const doing = `looking at ${disk.path || imageName} on host ${computer.host.name}`;
    const result = await computer.run(argv, { expect: 'any' });
    const sections = splitSections(result.stdout, mark);
    if (result.exitCode !== 0 || !sections.has('end')) throw virshError('COMMAND_FAILED', doing, result);
    if (sections.has('info') && !sections.get('info')!.join('').includes('{')) {
      const message = `${doing}: its disk cannot be read: ${result.stderr.trim()}`;
      throw new ProvisiondError('IMAGE_NOT_FOUND', message, { blame: 'computer', hint: 'Look where its file went' });
    }
    return readCaptureLook(sections, imageName);
  }
}

/** `delete_image`: an image and its files, an instance or a master. Refused while anybody needs it; a master needs to have no instances. */
import path from 'node:path';
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import type { Host } from '../../host/host';
import { removeBase, surveyImages } from '../../images/base-survey';
import type { KnownBaseFile } from '../../model/base-file';
import { imageLock } from '../../model/names';
import type { VmProfile } from '../../model/reservation';
import { imageNameOfBase } from '../../model/vm-base';
import type { Step } from '../../steps/step';
import type { RevisionFacts } from '../../store/store';
import { type Ending, freeKind, type OperationJob } from '../kind';

const DELETE = z.strictObject({ image: z.string().min(1).max(120) });
type Delete = z.output<typeof DELETE>;
type DeleteJob = OperationJob<Delete>;

/** @throws IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS */
async function revisionOf({ store, arguments: { image } }: DeleteJob, deletedToo = false): Promise<RevisionFacts> {
  const found = (await store.revisionsNamed(image)).filter(({ deleted }) => deletedToo || !deleted);
  if (found.length === 1) return found[0]!;
  const blame = 'request';
  const hint = 'provisiond list images shows what there is';
  if (found.length === 0) throw new ProvisiondError('IMAGE_NOT_FOUND', `there is no image '${image}'`, { blame, hint });
  const names = found.map(({ imageName }) => imageName).join(', ');
  throw new ProvisiondError('IMAGE_AMBIGUOUS', `'${image}' may be ${names}`, { blame, hint: 'Name one of them' });
}

interface Held {
  readonly known: KnownBaseFile;
  readonly host: Host;
  readonly profile: VmProfile;
}

/** Its files on all hosts; of an instance also those of its data volumes. */
async function filesOf({ store, hosts }: DeleteJob, { imageName }: RevisionFacts): Promise<Held[]> {
  const records = (await store.listBaseFiles()).filter(({ path: file, imageName: name }) => {
    return name === imageName || path.posix.basename(file).startsWith(`${imageName}-data-`);
  });
  const held: Held[] = [];
  for (const known of records) {
    const facts = await store.vmHost(known.hostId);
    if (facts) held.push({ known, host: hosts.get(facts), profile: facts.profile });
  }
  return held;
}

/** @throws CONFLICT saying who needs it */
async function refuseNeeded(job: DeleteJob, revision: RevisionFacts): Promise<void> {
  const { instances, computers, requests } = await job.store.revisionUses(revision.imageRevisionId);
  const says = [
    ...(instances.length > 0 ? [`it has ${instances.length} instances: ${instances.join(', ')}`] : []),
    ...(computers.length > 0 ? [`${computers.join(', ')} are made of it`] : []),
    ...(requests > 0 ? [`${requests} requests that are not over name it`] : []),
  ];
  for (const { known, host, profile } of await filesOf(job, revision)) {
    const files = await surveyImages(host, profile, job.config.imageTimeoutMs);
    const standing = files.filter(({ backing }) => backing === known.path);
    says.push(...standing.map((file) => `${file.path} on host ${host.name} stands on it`));
  }
  if (says.length === 0) return;
  throw new ProvisiondError('CONFLICT', `image '${revision.prettyName}' is needed: ${says.join('; ')}`, {
    blame: 'request',
    hint: 'Promote or delete its instances, and give its VMs another image; what lies in the trash goes after trashDays',
    details: { instances, computers },
  });
}

const steps: readonly Step<DeleteJob, Ending>[] = [
  {
    name: 'check that it is allowed',
    done: (job) => job.journal !== null,
    run: async (job) => {
      await refuseNeeded(job, await revisionOf(job));
      await job.keepJournal({ from: 'Halted', domainId: null });
    },
  },
  {
    name: 'mark the image as deleted',
    done: async (job) => (await revisionOf(job, true)).deleted,
    run: async (job) => job.store.deleteRevision(job.lease, (await revisionOf(job)).imageRevisionId),
  },
  {
    // What came to need it meanwhile keeps its file, until image gc finds it unneeded.
    name: 'remove its files',
    done: async (job) => (await filesOf(job, await revisionOf(job, true))).length === 0,
    run: async (job) => {
      const removed: string[] = [];
      for (const { known, host, profile } of await filesOf(job, await revisionOf(job, true))) {
        const outcome = await removeBase(host, profile, known, imageLock(profile, imageNameOfBase(known)));
        const isGone = (await host.run(['test', '-e', known.path], { expect: [0, 1] })).exitCode === 1;
        if (isGone) await job.store.forgetBaseFile(known);
        else job.tell(`${known.path} on host ${host.name} stays: ${outcome}`);
        if (isGone) removed.push(known.path);
      }
      job.result.removed = removed;
    },
  },
];

export const delete_image = freeKind<Delete>({
  name: 'delete_image',
  about: 'delete an image, an instance or a master, that nothing needs any more',
  arguments: DELETE,
  example: { image: 'Debian 12-5f1cdbbb-8a0c-8e0b-a6f5-0a7e3d7b2f11' },
  steps,
});

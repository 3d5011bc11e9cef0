/** `promote_instance`: an image of its own is copied from an instance, a master that nothing ties to the instance or its master. */
import path from 'node:path';
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { Fence } from '../../host/fence';
import { script } from '../../host/host';
import { recordBase } from '../../images/base-record';
import { explain } from '../../images/copy-work';
import { COPY_DISKS } from '../../images/instance-scripts';
import type { Instance } from '../../model/instance';
import { instanceUuid, masterImagePath } from '../../model/names';
import type { Step } from '../../steps/step';
import { type Ending, freeKind, type OperationJob } from '../kind';

const PROMOTE = z.strictObject({ instance: z.string().min(1).max(120), name: z.string().min(1).max(60) });
type Promote = z.output<typeof PROMOTE>;
type PromoteJob = OperationJob<Promote>;

/** @throws NOT_FOUND */
async function instanceOf({ store, arguments: { instance: name } }: PromoteJob): Promise<Instance> {
  const found = (await store.instances()).find((one) => one.prettyName === name || one.imageName === name);
  if (found) return found;
  const hint = 'provisiond instance list shows what there is';
  throw new ProvisiondError('NOT_FOUND', `there is no instance '${name}'`, { hint });
}

async function placeOf({ store, hosts, config, signal }: PromoteJob, { hostId, prettyName }: Instance) {
  const facts = await store.vmHost(hostId);
  if (!facts) throw new ProvisiondError('NOT_FOUND', `the host that has the files of '${prettyName}' is none any more`);
  const place = { host: hosts.get(facts), hostId, records: store, timeoutMs: config.imageTimeoutMs, signal };
  return { ...place, profile: facts.profile };
}

/** Short enough for every column, and nobody else's. */
function imageNameOf({ operation, arguments: { name } }: PromoteJob, { imageName }: Instance): string {
  return `${name.replace(/\W/g, '').slice(0, 30)}-${instanceUuid(operation.id, imageName)}`;
}

async function targetOf(job: PromoteJob) {
  const instance = await instanceOf(job);
  const place = await placeOf(job, instance);
  const source = instance.files[0]!;
  const imageName = imageNameOf(job, instance);
  return { instance, place, source, imageName, file: masterImagePath(place.profile, imageName, source.format) };
}

const isRegistered = async (job: PromoteJob): Promise<boolean> => {
  const { imageName } = await targetOf(job);
  return (await job.store.revisionsNamed(imageName)).some(({ deleted }) => !deleted);
};

const steps: readonly Step<PromoteJob, Ending>[] = [
  {
    name: 'check that it is allowed',
    done: (job) => job.journal !== null,
    run: async (job) => {
      await targetOf(job);
      const { name } = job.arguments;
      if ((await job.store.revisionsNamed(name)).length > 0) {
        throw new ProvisiondError('CONFLICT', `there is an image '${name}' already`, { blame: 'request' });
      }
      await job.keepJournal({ from: 'Halted', domainId: null });
    },
  },
  {
    name: 'copy the image',
    done: async (job) => {
      const { file, place } = await targetOf(job);
      const records = await job.store.listBaseFiles();
      return records.some((known) => known.path === file && known.hostId === place.hostId);
    },
    run: async (job) => {
      const { file, place, source, imageName, instance } = await targetOf(job);
      const { managementNodeId, token } = job.lease;
      const fence = new Fence(path.posix.join(path.posix.dirname(file), `.${imageName}.load`), managementNodeId, token);
      const part = `${file}.${fence.mark}.part`;
      await place.host.run(['rm', '-f', file]);
      const args = [source.format, '', Math.ceil(source.sizeBytes / 1024), `${part}.list.part`];
      const argv = script(fence.guard(COPY_DISKS), ...fence.args, ...args, source.path, source.format, part, file);
      const result = await place.host.run(argv, { expect: 'any', timeoutMs: place.timeoutMs });
      const doing = `copying ${source.path} to ${file}`;
      fence.check(result.exitCode, doing);
      const folder = path.posix.dirname(file);
      if (result.exitCode !== 0)
        throw explain(place.host.name, { doing, folder, failure: 'IMAGE_COPY_FAILED' }, result);
      await recordBase(place, file, { imageName, source: `promoted from instance ${instance.imageName}` });
    },
    undo: async (job) => {
      if (job.journal === null || (await isRegistered(job))) return;
      const { file, place } = await targetOf(job);
      await place.host.run(['rm', '-f', file]);
      await job.store.forgetBaseFile({ hostId: place.hostId, path: file });
    },
  },
  {
    name: 'register the image',
    done: isRegistered,
    run: async (job) => {
      const { instance, imageName, file } = await targetOf(job);
      const names = { imageName, prettyName: job.arguments.name };
      await job.store.registerMaster(job.lease, instance.imageRevisionId, names);
      Object.assign(job.result, { image: job.arguments.name, imageName, file });
    },
  },
];

export const promote_instance = freeKind<Promote>({
  name: 'promote_instance',
  about: 'make an image of its own from an instance, a master that depends on nothing',
  arguments: PROMOTE,
  example: { instance: 'Debian 12-5f1cdbbb-8a0c-8e0b-a6f5-0a7e3d7b2f11', name: 'Web shop' },
  steps,
});

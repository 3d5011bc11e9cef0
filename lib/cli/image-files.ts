/** `provisiond image list`, `image check` and `image gc`: the image files on the hosts. */
import type { Command } from 'commander';
import { describeError, ProvisiondError } from '../errors';
import type { ImageNode } from '../images/image-tree';
import { imageNameOf } from '../images/image-tree';
import type { ImageUse, KnownBaseFile } from '../model/base-file';
import { type BaseParts, checkBases, collectGarbage, type HostImages, isBase, surveyAll } from '../operations/bases';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { type Execute, addVerb } from './verb';

export function addImageFileVerbs(image: Command, execute: Execute): void {
  addVerb(image, 'list', {
    about: 'show the image files of all hosts (M: master, S: instance) and what stands on them, with their sizes',
    examples: ['image list', 'image list --json'],
  }).action((_options: object, command: Command) => execute(command, listFiles));
  addVerb(image, 'check', {
    about: 'read base images and compare them with what was recorded when they came',
    examples: ['image check', 'image check vmwarelinux-Debian12-v0 --accept'],
  })
    .argument('[image]', 'file name of an image, without extension; left out: all')
    .option('--accept', 'record those that changed as they are now, and forget those that are gone')
    .action((name: string | undefined, { accept }: { accept?: true }, command: Command) =>
      execute(command, (app) => checkFiles(app, name ?? null, accept === true)),
    );
  addVerb(image, 'gc', {
    about: 'remove base images of deleted revisions that nothing on any host stands on, and copies that broke off',
    examples: ['image gc --dry-run', 'image gc'],
  })
    .option('--dry-run', 'only say what would be removed')
    .action(({ dryRun }: { dryRun?: true }, command: Command) =>
      execute(command, (app) => collect(app, dryRun === true)),
    );
}

async function basePartsOf(app: App): Promise<BaseParts> {
  const frontEnd = await app.frontEnd();
  const { store } = app.open();
  const node = await store.managementNode(app.config.managementNode);
  const pool = app.hostsWith(node.keyFiles);
  const hosts = (await frontEnd.listHosts()).map(({ computerId, facts }) => {
    return { host: pool.get(facts), hostId: computerId, places: facts.profile };
  });
  return { hosts, records: store, readUses: () => frontEnd.listImageUse(), timeoutMs: app.config.imageTimeoutMs };
}

async function listFiles(app: App): Promise<ExitCode> {
  const parts = await basePartsOf(app);
  const [surveys, known, uses] = await Promise.all([surveyAll(parts), parts.records.listBaseFiles(), parts.readUses()]);
  const document = surveys.map((survey) => describeHost(survey, known, uses));
  app.print.result(document, () => document.flatMap(treeLines).join('\n') || 'there are no hosts');
  return document.every(({ error, broken }) => error === null && broken.length === 0) ? EXIT.ok : EXIT.failed;
}

interface FileEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly allocatedKiB: number;
  readonly overlays: readonly FileEntry[];
}

interface BaseEntry extends FileEntry {
  /** M: a master; S: an instance, the slave of one; null: no image of the database. */
  readonly kind: 'M' | 'S' | null;
  readonly image: string | null;
  readonly sha256: string | null;
  readonly source: string | null;
  readonly note: string;
}

function describeHost(
  { host, hostId, places, tree, error }: HostImages,
  known: readonly KnownBaseFile[],
  uses: readonly ImageUse[],
) {
  const bases = tree.roots.map((node): BaseEntry => {
    const record = known.find((one) => one.hostId === hostId && one.path === node.file.path);
    const use = uses.find(({ imageName }) => imageName === imageNameOf(node.file.path));
    const { sha256 = null, source = null } = record ?? {};
    const note = isBase(places, node.file) ? noteOf(record, use) : 'a disk of its own';
    const kind = use === undefined ? null : use.isInstance ? 'S' : 'M';
    return { ...entryOf(node), kind, image: use?.prettyName ?? null, sha256, source, note };
  });
  const broken = tree.broken.map(({ path, backing }) => ({ path, backing }));
  return { host: host.name, error: error === null ? null : describeError(error), bases, broken };
}

function entryOf({ file, overlays }: ImageNode): FileEntry {
  const { path, sizeBytes, allocatedKiB } = file;
  return { path, sizeBytes, allocatedKiB, overlays: overlays.map(entryOf) };
}

function noteOf(record: KnownBaseFile | undefined, use: ImageUse | undefined): string {
  if (record?.damage) return `CHANGED: ${record.damage}`;
  const whose = use === undefined ? 'no image of the database' : use.deleted ? 'deleted' : '';
  const known = record === undefined ? 'not recorded yet' : record.sha256 === null ? 'its checksum is being taken' : '';
  return [whose, known].filter(Boolean).join(', ');
}

function treeLines({ host, error, bases, broken }: ReturnType<typeof describeHost>): string[] {
  if (error !== null) return [`${host}: ${error}`];
  return [
    `${host}:`,
    ...bases.flatMap((base) => {
      const facts = [base.image, base.sha256 && `sha256 ${base.sha256.slice(0, 12)}…`, base.source, base.note];
      return [
        `  ${base.kind ?? '-'} ${base.path}  ${mib(base)}  ${facts.filter(Boolean).join(', ')}`,
        ...overlayLines(base, '    '),
      ];
    }),
    ...broken.map(({ path, backing }) => `  ${path}  BROKEN: it stands on ${backing}, which is not there`),
    ...(bases.length + broken.length === 0 ? ['  no image files'] : []),
  ];
}

function overlayLines({ overlays }: FileEntry, indent: string): string[] {
  return overlays.flatMap((overlay) => [
    `${indent}└ ${overlay.path}  ${mib(overlay)}`,
    ...overlayLines(overlay, `${indent}  `),
  ]);
}

function mib({ allocatedKiB }: Pick<FileEntry, 'allocatedKiB'>): string {
  return `${(allocatedKiB / 1024).toFixed(1)} MiB`;
}

async function checkFiles(app: App, only: string | null, accept: boolean): Promise<ExitCode> {
  const verdicts = await checkBases(await basePartsOf(app), only, accept);
  if (only !== null && verdicts.length === 0) {
    const hint = 'provisiond image list shows what is there: the names of files, without extension';
    throw new ProvisiondError('NOT_FOUND', `no host has a base image ${only}, and none is recorded`, { hint });
  }
  app.print.result(verdicts, () => {
    if (verdicts.length === 0) return 'there are no base images';
    const rows = verdicts.map(({ host, path, verdict, why }) => [host, path, styled(verdict), why]);
    return app.print.table(['HOST', 'FILE', 'VERDICT', 'WHY'], rows);
  });
  const isGood = verdicts.every(
    ({ verdict }) => ['ok', 'recorded', 'accepted'].includes(verdict) || (accept && verdict === 'missing'),
  );
  return isGood ? EXIT.ok : EXIT.failed;
}

function styled(verdict: string) {
  return {
    text: verdict,
    style: ['ok', 'recorded', 'accepted'].includes(verdict) ? ('green' as const) : ('red' as const),
  };
}

async function collect(app: App, dryRun: boolean): Promise<ExitCode> {
  const { garbage, kept, silent } = await collectGarbage(await basePartsOf(app), dryRun);
  const document = { garbage, kept, silent: silent.map(({ host, error }) => ({ host, error: describeError(error) })) };
  app.print.result(document, () => {
    const rows = [
      ...garbage.map(({ host, path, outcome, allocatedKiB, why }) => [host, path, outcome, mib({ allocatedKiB }), why]),
      ...kept.map(({ host, path, why }) => [host, path, 'kept', null, why]),
    ];
    const lines = document.silent.map(
      ({ host, error }) => `nothing was removed, for host ${host} did not answer: ${error}`,
    );
    const table = rows.length > 0 ? [app.print.table(['HOST', 'FILE', 'OUTCOME', 'SIZE', 'WHY'], rows)] : [];
    return [...table, ...lines].join('\n') || 'nothing to remove';
  });
  return silent.length === 0 ? EXIT.ok : EXIT.failed;
}

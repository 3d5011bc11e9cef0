/** Holds the code to the rules of lib/README.md: which folder may import which, and where each border stands. */
import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../..');

/** What a folder of lib may import from others; `errors`, `signals`, `model` and the type-only ports are open to all. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  model: [],
  errors: [],
  steps: ['errors'],
  log: ['errors', 'config', 'redaction', 'log-line'],
  redaction: ['errors'],
  'log-line': ['errors', 'redaction'],
  config: ['errors', 'model', 'listener'],
  host: ['errors', 'model', 'plugins/api', 'log', 'config'],
  plugins: ['errors', 'model', 'config', 'log', 'host/host'],
  predictive: ['plugins/api'],
  xml: ['errors', 'plugins/api'],
  'front-end-rpc': ['errors', 'model', 'xml', 'store/store', 'log', 'config'],
  messages: ['errors', 'model', 'store/store', 'log', 'config'],
  store: ['errors', 'model', 'log', 'config'],
  images: ['errors', 'model', 'host', 'plugins/api', 'log', 'config'],
  libvirt: ['errors', 'model', 'host', 'images', 'xml', 'plugins', 'steps', 'log', 'config'],
  states: [
    'errors',
    'model',
    'host',
    'libvirt',
    'plugins',
    'messages',
    'front-end-rpc',
    'steps',
    'store/store',
    'work',
    'log',
    'config',
  ],
  operations: [
    'errors',
    'model',
    'host',
    'images',
    'libvirt',
    'plugins',
    'steps',
    'store/store',
    'store/operation-store',
    'work',
    'log',
    'config',
  ],
  signals: ['errors'],
  listener: ['errors'],
  'log-levels': ['errors', 'log', 'log-line'],
  systemd: ['log'],
  metrics: ['errors', 'model', 'host', 'store/store', 'listener', 'log'],
  page: [
    'errors',
    'model',
    'host',
    'libvirt',
    'plugins',
    'store/front-end',
    'store/vm-front-end',
    'metrics',
    'listener',
    'log',
    'log-line',
    'config',
  ],
  work: [
    'errors',
    'model',
    'host',
    'libvirt',
    'states',
    'operations',
    'messages',
    'front-end-rpc',
    'steps',
    'store/store',
    'store/operation-store',
    'log',
    'config',
  ],
};

/** The composition root and what the command line makes of it may import everything. */
const ROOTS = ['daemon', 'observers', 'main', 'cli'];

const BORDERS: Record<string, RegExp> = {
  knex: /^lib\/store\//,
  mysql2: /^lib\/store\//,
  'better-sqlite3': /^lib\/store\//,
  ssh2: /^lib\/host\//,
  xml2js: /^lib\/xml\.ts$/,
  winston: /^lib\/log\.ts$/,
  'node-cron': /^lib\/work\/schedule\.ts$/,
  nodemailer: /^lib\/messages\/mailer\.ts$/,
  'node:https': /^lib\/front-end-rpc\//,
  commander: /^lib\/cli\//,
  'prom-client': /^lib\/metrics\//,
  hono: /^lib\/page\//,
  '@hono/node-server': /^lib\/page\//,
  zod: /^lib\/(config|operations)\//,
  yaml: /^lib\/config\//,
};

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

function sources(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(folder, name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)';/gms);
  return [...statements].map(([, type, from]) => ({
    file,
    target: from!.startsWith('.') ? path.join(path.dirname(file), from!) : from!,
    typeOnly: type !== undefined,
  }));
}

const lib = sources('lib').flatMap(importsOf);
const plugins = [...sources('drivers'), ...sources('os-modules'), ...sources('lib/predictive')].flatMap(importsOf);

/** `lib/store/store` → `store` and `store/store`. */
function placeOf(target: string): { folder: string; module: string } {
  const module = target.replace(/^lib\//, '').replace(/\.ts$/, '');
  return { folder: module.split('/')[0]!, module };
}

describe('the architecture', () => {
  it('lets imports run one way', () => {
    const wrong = lib.filter(({ file, target }) => {
      const from = placeOf(file);
      if (!target.startsWith('lib/') || ROOTS.includes(from.folder)) return false;
      const to = placeOf(target);
      const allowed = [...(MAY_IMPORT[from.folder] ?? []), 'signals'];
      return to.folder !== from.folder && !allowed.includes(to.folder) && !allowed.includes(to.module);
    });
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('lets each library in at one place', () => {
    const wrong = [...lib, ...plugins].filter(({ file, target }) => BORDERS[target] && !BORDERS[target].test(file));
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('gives plugins nothing of ours at run time but what stands in their own folder', () => {
    const wrong = plugins.filter(({ file, target, typeOnly }) => {
      if (target === 'lib/plugins/api') return !typeOnly;
      return !target.startsWith('node:') && !target.startsWith(`${path.dirname(file)}/`);
    });
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('knows no driver and no OS module by name', () => {
    const names = [...sources('drivers'), ...sources('os-modules')]
      .filter((file) => file.split('/').length === 2)
      .map((file) => path.basename(file, '.ts'));
    const known = sources('lib').filter((file) => {
      const code = readFileSync(path.join(ROOT, file), 'utf8');
      return names.some((name) => new RegExp(`(name|driver\\w*|module)\\s*===?\\s*['"]${name}['"]`, 'i').test(code));
    });
    expect(known).toEqual([]);
  });

  it('names no driver anywhere: where the word stands, it is libvirt’s domain type, or of VCL’s first rows', () => {
    const ofOthers = [
      'lib/libvirt/host-facts.ts',
      'lib/libvirt/kvm-probe.ts',
      'lib/libvirt/vm-sight.ts',
      'lib/plugins/conformance/driver-checks.ts',
      'lib/store/schema/seed-catalogue.ts',
    ];
    const names = sources('drivers').map((file) => path.basename(file, '.ts'));
    const literal = new RegExp(`(['"\`])(${names.join('|')})\\1`);
    const code = (file: string) => readFileSync(path.join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    const naming = sources('lib').filter((file) =>
      literal.test(code(file).replace(/must be a word such as '\w+'/, '')),
    );
    expect(names).toContain('kvm');
    expect(naming.filter((file) => !ofOthers.includes(file))).toEqual([]);
  });

  it('has no drawer for everything', () => {
    const drawers = ['lib', 'drivers', 'os-modules', 'test']
      .flatMap(sources)
      .filter((file) => /(^|\/)(utils?|helpers?|common|manager|misc)(\.|\/)/.test(file));
    expect(drawers).toEqual([]);
  });

  it('keeps files short enough to be read in one go', () => {
    const long = ['lib', 'drivers', 'os-modules']
      .flatMap(sources)
      .map((file) => ({ file, lines: readFileSync(path.join(ROOT, file), 'utf8').split('\n').length }))
      .filter(({ lines }) => lines > 320);
    expect(long).toEqual([]);
  });
});

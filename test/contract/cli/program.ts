/** The program as an admin runs it: built, a process of its own, in a folder of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../../..');
const BUILDS = path.join(ROOT, '.state/contract-cli');

/** When the newest of the sources was changed. */
function newestSourceMs(): number {
  const files = ['lib', 'drivers', 'os-modules'].flatMap((folder) =>
    fs
      .readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => path.join(ROOT, folder, name)),
  );
  return Math.max(...files.map((file) => fs.statSync(file).mtimeMs));
}

/**
 * The program in a build of our own, one for each version of the sources, so that nobody's new build pulls the rug from
 * under a test: copied from `dist/` when that is newer than the sources, else made.
 * @returns path of `main.js`
 */
export function builtProgram(): string {
  const newest = newestSourceMs();
  const build = path.join(BUILDS, String(Math.ceil(newest)));
  const main = path.join(build, 'dist/lib/main.js');
  if (fs.existsSync(main)) return main;
  fs.mkdirSync(BUILDS, { recursive: true });
  const part = fs.mkdtempSync(`${build}.`);
  const dist = path.join(ROOT, 'dist');
  const ofDist = fs.statSync(path.join(dist, 'lib/main.js'), { throwIfNoEntry: false });
  if (ofDist !== undefined && ofDist.mtimeMs > newest) fs.cpSync(dist, path.join(part, 'dist'), { recursive: true });
  else {
    const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    const options = ['--outDir', path.join(part, 'dist'), '--declaration', 'false', '--sourceMap', 'false'];
    execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', ...options], { cwd: ROOT });
  }
  try {
    fs.renameSync(part, build);
  } catch {
    // Another test file was faster with the same.
    fs.rmSync(part, { recursive: true });
  }
  forgetOldBuilds(build);
  return main;
}

function forgetOldBuilds(present: string): void {
  const anHourAgo = Date.now() - 3_600_000;
  for (const name of fs.readdirSync(BUILDS)) {
    const folder = path.join(BUILDS, name);
    const changedAt = fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (folder !== present && changedAt < anHourAgo) fs.rmSync(folder, { recursive: true, force: true });
  }
}

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

export class Program {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'provisiond-cli-'));
  readonly database = `sqlite:${this.folder}/state/provisiond.db`;
  readonly #children = new Set<ChildProcess>();

  constructor(private readonly main: string) {}

  start(args: readonly string[], env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, [this.main, ...args], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        HOME: this.folder,
        PROVISIOND_STATE_DIR: `${this.folder}/state`,
        PROVISIOND_MANAGEMENT_NODE: 'mn1',
        ...env,
      },
    });
    this.#children.add(child);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const ended = new Promise<Ended>((resolve) => {
      child.once('close', (exitCode) => {
        this.#children.delete(child);
        resolve({ exitCode, stdout, stderr });
      });
    });
    return { child, ended };
  }

  run(...args: string[]): Promise<Ended> {
    return this.start(args).ended;
  }

  /** What it prints with `--json`. @throws when that is not exactly one document */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T & { error?: Record<string, string> }> {
    const { stdout } = await this.run(...args, '--json');
    return JSON.parse(stdout) as T & { error?: Record<string, string> };
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * The log level of single requests, changed while the daemon runs: a file `log-levels/REQUEST` in the state folder holds
 * the level's word. `provisiond log-level` writes it; the daemon notices at once, with or without a database.
 */
import {
  type FSWatcher,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describeError } from './errors';
import type { RootLog } from './log';
import type { Level } from './log-line';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly Level[];

const folderOf = (stateDir: string): string => path.join(stateDir, 'log-levels');

/** @param level null: as of all other requests again */
export function writeLevelOf(stateDir: string, requestId: number, level: Level | null): void {
  const folder = folderOf(stateDir);
  mkdirSync(folder, { recursive: true, mode: 0o750 });
  const file = path.join(folder, String(requestId));
  if (level === null) rmSync(file, { force: true });
  else writeFileSync(file, level, { mode: 0o640 });
}

/** What stands in the folder: request → level. */
export function readLevels(stateDir: string): Map<number, Level> {
  const folder = folderOf(stateDir);
  const levels = new Map<number, Level>();
  if (!existsSync(folder)) return levels;
  for (const name of readdirSync(folder).filter((entry) => /^\d+$/.test(entry))) {
    const word = readFileSync(path.join(folder, name), 'utf8').trim();
    const level = LEVELS.find((known) => known === word);
    if (level) levels.set(Number(name), level);
  }
  return levels;
}

export class LogLevels {
  private known = new Map<number, Level>();
  private watcher: FSWatcher | undefined;

  constructor(
    private readonly stateDir: string,
    private readonly log: RootLog,
  ) {
    try {
      mkdirSync(folderOf(stateDir), { recursive: true, mode: 0o750 });
      this.watcher = watch(folderOf(stateDir), () => this.look());
      this.watcher.unref();
      this.look();
    } catch (error) {
      log.debug(`levels of single requests are not watched: ${describeError(error)}`);
    }
  }

  close(): void {
    this.watcher?.close();
  }

  private look(): void {
    const levels = readLevels(this.stateDir);
    for (const requestId of this.known.keys()) if (!levels.has(requestId)) this.log.setLevelOf(requestId, null);
    for (const [requestId, level] of levels) this.log.setLevelOf(requestId, level);
    this.known = levels;
  }
}

/**
 * May the text of this file run inside the daemon? As sudo and sshd judge: by who can write it.
 */
import fs from 'node:fs';
import path from 'node:path';

/** Who may own and write plugin files. */
export interface Trust {
  /** Owners of files and folders that are believed. */
  readonly uids: ReadonlySet<number>;
  /** A group that may write, because it can write the program itself; null: none. */
  readonly writerGid: number | null;
  /** Folders from the file's up to this one are judged; those above it are not ours to judge. */
  readonly upTo: string;
}

export interface TrustedFile {
  readonly path: string;
  /** Changes whenever the content may have changed. */
  readonly version: string;
  /** Read through the same descriptor that was judged: what was checked is what runs. */
  readText(): string;
}

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** An admin's folder: root or the daemon's own account, nobody else, all the way up. */
export function strictTrust(): Trust {
  return { uids: new Set([0, process.getuid?.() ?? 0]), writerGid: null, upTo: '/' };
}

/**
 * The folders beside our own code: whoever can write the program needs no plugin to change it, so its owner and group
 * are believed as well, and the folders above the program are not asked.
 */
export function programTrust(programRoot: string): Trust {
  const own = fs.statSync(programRoot);
  return {
    uids: new Set([0, process.getuid?.() ?? 0, own.uid]),
    writerGid: own.mode & GROUP_WRITES ? own.gid : null,
    upTo: fs.realpathSync(programRoot),
  };
}

/** For a file that an admin names himself, on his own machine, to have it tried: its owner is believed, and its folder. */
export function trustOfOwner(file: string): Trust {
  const folder = fs.realpathSync(path.dirname(file));
  const owners = [fs.statSync(file), fs.statSync(folder)];
  return { uids: new Set(owners.map(({ uid }) => uid)), writerGid: owners[0]!.gid, upTo: folder };
}

/** @returns the file, or the reason why it is not believed */
export function judgeFile(folder: string, name: string, trust: Trust): TrustedFile | { readonly reason: string } {
  const given = path.join(folder, name);
  const real = fs.realpathSync(given);
  const realFolder = fs.realpathSync(folder);
  if (path.dirname(real) !== realFolder) return { reason: `a symbolic link that leads out of the folder, to ${real}` };
  const stat = fs.statSync(real, { bigint: true });
  if (!stat.isFile()) return { reason: 'not a regular file' };
  const reason = judgeOwner(real, fs.statSync(real), trust, false) ?? judgeFolders(realFolder, trust);
  if (reason !== null) return { reason };
  const version = [stat.dev, stat.ino, stat.size, stat.mtimeNs].join(':');
  return { path: given, version, readText: () => readUnchanged(real, stat) };
}

function readUnchanged(real: string, judged: fs.BigIntStats): string {
  const descriptor = fs.openSync(real, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    const opened = fs.fstatSync(descriptor, { bigint: true });
    if (opened.ino !== judged.ino || opened.uid !== judged.uid || opened.mode !== judged.mode) {
      throw new Error('the file was replaced while it was looked at');
    }
    return fs.readFileSync(descriptor, 'utf8');
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The plugin folder and its parents: one that others can write lets them put another folder in its place. */
function judgeFolders(folder: string, trust: Trust): string | null {
  for (let current = folder; ; current = path.dirname(current)) {
    const stat = fs.statSync(current);
    // In a sticky folder (/tmp) nobody can rename or remove what another owns: harmless as a parent, but in the
    // plugin folder itself anybody could add a file.
    const stickyParent = current !== folder && (stat.mode & STICKY) !== 0;
    const reason = judgeOwner(current, stat, trust, stickyParent);
    if (reason !== null) return reason;
    if (current === trust.upTo || current === path.dirname(current)) return null;
  }
}

function judgeOwner(what: string, stat: fs.Stats, trust: Trust, mayBeShared: boolean): string | null {
  if (!trust.uids.has(stat.uid)) {
    return `${what} belongs to user id ${stat.uid}, not to root or the daemon's account: chown root ${what}`;
  }
  if (mayBeShared) return null;
  if (stat.mode & OTHERS_WRITE) return `${what} can be written by everybody: chmod o-w ${what}`;
  if (stat.mode & GROUP_WRITES && stat.gid !== trust.writerGid) {
    return `${what} can be written by its group (id ${stat.gid}): chmod g-w ${what}`;
  }
  return null;
}

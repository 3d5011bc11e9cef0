/** Where the daemon listens: a loopback address or a socket in the file system, never the network. */
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { type ListenOptions, Socket } from 'node:net';
import { ProvisiondError } from './errors';

export interface Listener {
  /** As it is asked for by people: `http://127.0.0.1:9477` or the path of the socket. */
  readonly address: string;
  close(): Promise<void>;
}

const LOOPBACK = /^(127(?:\.\d{1,3}){3}|\[::1\]|localhost):(\d{1,5})$/;

/** `127.0.0.1:PORT`, `[::1]:PORT`, `localhost:PORT` or an absolute path; port 0: any. */
export function isListenAddress(text: string): boolean {
  return listenOptions(text) !== null;
}

function listenOptions(text: string): ListenOptions | null {
  if (text.startsWith('/')) return { path: text };
  const match = LOOPBACK.exec(text);
  if (!match || Number(match[2]) > 65_535) return null;
  return { host: match[1]!.replace(/[[\]]/g, ''), port: Number(match[2]) };
}

/**
 * Whether a request was meant for this machine: a web page elsewhere can make a browser ask 127.0.0.1 under a name of
 * its own ("DNS rebinding"), but not under ours.
 */
export function isForUs(hostHeader: string | undefined): boolean {
  return hostHeader !== undefined && /^(127(\.\d{1,3}){3}|\[::1\]|localhost)(:\d+)?$/i.test(hostHeader);
}

/** @throws CONFIG_INVALID when the address cannot be had */
export async function listen(server: Server, address: string, key: string): Promise<Listener> {
  const options = listenOptions(address);
  if (options === null) throw new ProvisiondError('CONFIG_INVALID', `${key}: ${address} is no address to listen on`);
  if (options.path !== undefined) await removeStaleSocket(options.path);
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error) =>
      reject(new ProvisiondError('CONFIG_INVALID', `${key}: cannot listen on ${address}`, { cause: error }));
    server.once('error', refuse);
    server.listen(options, () => {
      server.off('error', refuse);
      resolve();
    });
  });
  if (options.path !== undefined) chmodSync(options.path, 0o660);
  return { address: shownAddress(server, address), close: () => closeServer(server) };
}

function shownAddress(server: Server, wanted: string): string {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return wanted;
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return `http://${host}:${bound.port}`;
}

/** A socket that nobody answers is left from a daemon that was killed; a living one is somebody's. */
async function removeStaleSocket(path: string): Promise<void> {
  if (!existsSync(path) || !lstatSync(path).isSocket()) return;
  const answered = await new Promise<boolean>((resolve) => {
    const socket = new Socket();
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.connect(path).once('close', () => {});
    socket.once('connect', () => socket.destroy());
  });
  if (!answered) unlinkSync(path);
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

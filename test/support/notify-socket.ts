/** What systemd hears of a service: a real socket of datagrams. Node has none of that kind, so Python listens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from './eventually';

const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('@@listening', flush=True)
while True:
    print(s.recv(65536).decode().strip().replace('\\n', '|'), flush=True)
`;

export class NotifySocket {
  /** Each datagram on a line, its variables with a bar in between. Barriers, which only ask for a receipt, are left out. */
  readonly heard: { readonly text: string; readonly atMs: number }[] = [];
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'notify-'));
  readonly path = path.join(this.folder, 'socket');
  private constructor(private listener?: ChildProcess) {}

  static async open(): Promise<NotifySocket> {
    const it = new NotifySocket();
    const child = spawn('python3', ['-c', LISTENER, it.path], { stdio: ['ignore', 'pipe', 'inherit'] });
    it.listener = child;
    await new Promise<void>((resolve) => {
      let rest = '';
      child.stdout.on('data', (data: Buffer) => {
        const lines = (rest + data.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const text of lines) {
          if (text === '@@listening') resolve();
          else if (text !== 'BARRIER=1') it.heard.push({ text, atMs: performance.now() });
        }
      });
    });
    return it;
  }

  get texts(): string[] {
    return this.heard.map(({ text }) => text);
  }

  /** Waits for a datagram. */
  async hear(pattern: RegExp, seconds = 20): Promise<string> {
    let found: string | undefined;
    const isHeard = () => (found = this.texts.find((text) => pattern.test(text))) !== undefined;
    await eventually(isHeard, seconds, () => `${String(pattern)} was not heard: ${this.texts.join('; ')}`);
    return found!;
  }

  close(): void {
    this.listener?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

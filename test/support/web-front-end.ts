/** A web front end that speaks XML-RPC over TLS (or plain http), with a certificate of its own; answers are the test's. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Config } from '../../lib/config/config';

export interface SeenCall {
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export class WebFrontEnd {
  readonly calls: SeenCall[] = [];
  /** What it does with a call; default: success. */
  answer: (call: SeenCall, response: ServerResponse) => void = (_call, response) =>
    response.end(struct({ status: 'success' }));

  private constructor(
    private readonly server: http.Server,
    private readonly folder: string,
    private readonly scheme: 'http' | 'https',
  ) {}

  static async start(scheme: 'http' | 'https' = 'https'): Promise<WebFrontEnd> {
    const folder = mkdtempSync(path.join(tmpdir(), 'web-front-end-'));
    const file = (name: string) => path.join(folder, name);
    if (scheme === 'https') {
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
      const argv = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject];
      execFileSync('openssl', [...argv, '-keyout', file('key.pem'), '-out', file('cert.pem')], { stdio: 'ignore' });
    }
    const tls = () => ({ key: readFileSync(file('key.pem')), cert: readFileSync(file('cert.pem')) });
    const server = scheme === 'https' ? https.createServer(tls()) : http.createServer();
    const web = new WebFrontEnd(server, folder, scheme);
    server.on('request', (request, response) => void web.serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return web;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  settings(more: Partial<Config['xmlrpc']> = {}): Config['xmlrpc'] {
    const url = `${this.scheme}://localhost:${this.port}/index.php?mode=xmlrpccall`;
    const caFile = this.scheme === 'https' ? path.join(this.folder, 'cert.pem') : null;
    return { url, user: 'vclsystem@Local', password: 'geheim', caFile, timeoutMs: 2000, ...more };
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close').catch(() => {});
    rmSync(this.folder, { recursive: true });
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const call = { headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
    this.calls.push(call);
    this.answer(call, response);
  }
}

/** The answer of a function of the front end, as PHP writes it. */
export function struct(members: Record<string, string | number>): string {
  const member = ([name, value]: [string, string | number]) =>
    `<member>\n<name>${name}</name>\n<value>${
      typeof value === 'number' ? `<int>${value}</int>` : `<string>${value}</string>`
    }</value>\n</member>`;
  const body = `<value>\n<struct>\n${Object.entries(members).map(member).join('\n')}\n</struct>\n</value>`;
  return `<?xml version="1.0" encoding="iso-8859-1"?>\n<methodResponse>\n<params>\n<param>\n${body}\n</param>\n</params>\n</methodResponse>`;
}

export function fault(code: number, message: string): string {
  const value = struct({ faultCode: code, faultString: message });
  const inner = /<value>[^]*<\/value>/.exec(value)![0];
  return `<?xml version="1.0"?><methodResponse><fault>${inner}</fault></methodResponse>`;
}

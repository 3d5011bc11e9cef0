/** One HTTP request, by Node's own client: certificates are verified, redirects are not followed. */
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { ProvisiondError } from '../errors';

/** No answer that we ask for is longer. */
const MAX_ANSWER_BYTES = 1 << 20;

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly caFile: string | null;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Posts a document.
 * @returns status and body, whatever the status
 * @throws FRONT_END_UNREACHABLE; CONFIG_INVALID when the file of certificates cannot be read
 */
export async function post(url: string, body: string, options: PostOptions): Promise<{ status: number; body: string }> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline;
  const ca = readCertificates(options.caFile);
  try {
    return await exchange(url, body, { ...options, ca, signal });
  } catch (cause) {
    options.signal?.throwIfAborted();
    const { host } = new URL(url);
    const what = deadline.aborted ? `had no answer within ${options.timeoutMs} ms` : 'failed';
    throw new ProvisiondError('FRONT_END_UNREACHABLE', `calling the front end at ${host} ${what}`, { cause });
  }
}

function readCertificates(file: string | null): Buffer | undefined {
  if (file === null) return undefined;
  try {
    return fs.readFileSync(file);
  } catch (cause) {
    throw new ProvisiondError('CONFIG_INVALID', `xmlrpc.caFile: cannot read ${file}`, { cause });
  }
}

type Exchange = Pick<PostOptions, 'headers'> & { readonly ca: Buffer | undefined; readonly signal: AbortSignal };

function exchange(url: string, body: string, { headers, ca, signal }: Exchange) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const { request } = url.startsWith('https:') ? https : http;
    const sent = request(
      url,
      // A connection of its own: calls are rare, and one that idled may be dead.
      { method: 'POST', headers: { ...headers, 'Content-Length': Buffer.byteLength(body) }, ca, signal, agent: false },
      (answer) => {
        const chunks: Buffer[] = [];
        let length = 0;
        answer.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER_BYTES)
            answer.destroy(new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`));
          else chunks.push(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

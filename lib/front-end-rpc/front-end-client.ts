/** Calls to VCL's web front end, as its system account. Sends at once; what must not be lost goes through the queue. */
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import { post } from './post';
import { type RpcValue, decodeAnswer, encodeCall, textOfValue } from './xml-rpc';

/** The functions of the front end that a management node calls. */
export type FrontEndMethod = 'XMLRPCautoCapture' | 'XMLRPCprocessBlockTime';

export type FrontEndAnswer = Readonly<Record<string, RpcValue>>;

const API_VERSION = '2';

export class FrontEndClient {
  constructor(private readonly settings: Config['xmlrpc']) {}

  /** Whether the configuration names a front end. */
  get isConfigured(): boolean {
    return this.settings.url !== null;
  }

  /**
   * Calls one function.
   * @returns its answer; its `status` is not `error`
   * @throws FRONT_END_UNREACHABLE: nobody knows whether it was done. FRONT_END_REFUSED: it was understood, and refused.
   *   CONFIG_INVALID
   */
  async call(method: FrontEndMethod, parameters: readonly RpcValue[], signal?: AbortSignal): Promise<FrontEndAnswer> {
    const { url, user, password, caFile, timeoutMs } = this.settings;
    if (url === null) throw new ProvisiondError('CONFIG_INVALID', `${method} cannot be called: xmlrpc.url is not set`);
    const headers = {
      'Content-Type': 'text/xml',
      'User-Agent': 'provisiond',
      'X-User': user,
      'X-Pass': password ?? '',
      'X-APIVERSION': API_VERSION,
    };
    const { status, body } = await post(url, encodeCall(method, parameters), { headers, caFile, timeoutMs, signal });
    checkStatus(method, url, status);
    return readAnswer(method, body);
  }
}

/** A server that is ill comes back; one that sends us elsewhere will do so again. */
function checkStatus(method: FrontEndMethod, url: string, status: number): void {
  if (status === 200) return;
  const code = status >= 500 || status === 404 || status === 429 ? 'FRONT_END_UNREACHABLE' : 'FRONT_END_REFUSED';
  throw new ProvisiondError(code, `${method}: ${new URL(url).host} answered with HTTP status ${status}`, {
    ...(status >= 300 && status < 400 && { hint: 'Name the address that it leads to in xmlrpc.url' }),
  });
}

function readAnswer(method: FrontEndMethod, body: string): FrontEndAnswer {
  const answer = decodeAnswer(body);
  if (answer.kind === 'fault') throw refusal(method, answer.message, answer.code);
  const { value } = answer;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ProvisiondError('FRONT_END_UNREACHABLE', `${method}: the front end answered with no struct`);
  }
  const struct = value as FrontEndAnswer;
  if (struct['status'] === 'error') throw refusal(method, textOfValue(struct['errormsg']), Number(struct['errorcode']));
  return struct;
}

function refusal(method: FrontEndMethod, message: string, code: number): ProvisiondError {
  return new ProvisiondError('FRONT_END_REFUSED', `${method}: ${message} (${code})`, { details: { method, code } });
}

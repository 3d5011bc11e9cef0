/** `/metrics`, `/healthz` and `/readyz`, for Prometheus and for whatever watches over services. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Log } from '../log';
import { type Listener, isForUs, listen } from '../listener';
import type { Health } from './health';
import type { Metrics } from './metrics';

/** @param address of the setting `metrics` @throws CONFIG_INVALID */
export async function startMonitor(address: string, metrics: Metrics, health: Health, log: Log): Promise<Listener> {
  const overSocket = address.startsWith('/');
  const server = createServer((request, response) => {
    if (!overSocket && !isForUs(request.headers.host)) return send(response, 421, 'text/plain', 'not for this host\n');
    answer(request, response, metrics, health).catch((error: unknown) => {
      log.warn('metrics could not be told', { error });
      send(response, 500, 'text/plain', 'see the log\n');
    });
  });
  server.requestTimeout = 10_000;
  const listener = await listen(server, address, 'metrics');
  log.info('metrics and health are told', { address: listener.address });
  return listener;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  metrics: Metrics,
  health: Health,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, 'text/plain', 'only to be read\n');
  const report = health.report();
  switch (request.url?.replace(/\?.*$/, '')) {
    case '/metrics': {
      const { contentType, body } = await metrics.text();
      return send(response, 200, contentType, body);
    }
    case '/healthz':
      return send(response, report.alive ? 200 : 503, 'application/json', `${JSON.stringify(report)}\n`);
    case '/readyz':
      return send(response, report.ready ? 200 : 503, 'application/json', `${JSON.stringify(report)}\n`);
    default:
      return send(response, 404, 'text/plain', '/metrics, /healthz or /readyz\n');
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

/** A way through loopback that can be broken: the network faults that this machine's kernel cannot make. */
import { type AddressInfo, type Server, Socket, createServer } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #swallows = false;
  #received = 0;
  #cutAt = Infinity;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param from the port to listen on; 0: a free one */
  static async to(port: number, from = 0): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true }); // a goodbye can be swallowed too
    const proxy = new TcpProxy(server);
    server.on('connection', (socket) => proxy.#join(socket, port));
    await new Promise<void>((resolve) => server.listen(from, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that stand, seen from the client's side. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Bytes that came back from the other side, over all connections. */
  get received(): number {
    return this.#received;
  }

  /** Cuts all connections once, when so many bytes have come back. */
  cutAt(bytes: number): void {
    this.#cutAt = bytes;
  }

  /** From now on nothing comes through, in any direction, and nobody is told: a black hole. */
  swallow(): void {
    this.#swallows = true;
  }

  /** Everything comes through again (what was swallowed stays lost). */
  pass(): void {
    this.#swallows = false;
  }

  /** Cuts all connections with RST. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket, port: number): void {
    const far = new Socket({ allowHalfOpen: true }).connect(port, '127.0.0.1');
    this.#forward(near, far);
    this.#forward(far, near);
    far.on('data', ({ length }: Buffer) => {
      this.#received += length;
      if (this.#received < this.#cutAt) return;
      this.#cutAt = Infinity;
      this.reset();
    });
  }

  #forward(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on('data', (chunk) => void (this.#swallows || to.write(chunk)));
    from.on('error', () => to.resetAndDestroy());
    from.on('end', () => void (this.#swallows || to.end()));
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!this.#swallows) to.destroy();
    });
  }
}

/**
 * Work on the same thing by turns: the next begins when the one before has ended, well or badly. Who waits hears of it.
 * This holds within one process; between daemons, on one host or on shared storage, the lock of the script that does the
 * work holds (qemu-img.ts), so that turns only keep a crowd of waiting scripts off a host.
 */

interface Line {
  last: Promise<unknown>;
  readonly listeners: Set<(news: number) => void>;
}

const lines = new Map<string, Line>();

/**
 * @param thing what must not be worked on twice at once, in this process
 * @param work  may tell how far it is; hears whether it had to wait for others
 * @param hear  told what the work of others and one's own tells
 */
export async function oneAfterAnother<T>(
  thing: string,
  work: (tell: (news: number) => void, waited: boolean) => Promise<T>,
  hear: (news: number) => void = () => {},
): Promise<T> {
  const waited = lines.has(thing);
  const line = lines.get(thing) ?? { last: Promise.resolve(), listeners: new Set() };
  lines.set(thing, line);
  line.listeners.add(hear);
  const mine = run(line.last, () => work((news) => line.listeners.forEach((listener) => listener(news)), waited));
  line.last = mine;
  try {
    return await mine;
  } finally {
    line.listeners.delete(hear);
    if (line.last === mine) lines.delete(thing);
  }
}

async function run<T>(before: Promise<unknown>, work: () => Promise<T>): Promise<T> {
  await before.catch(() => {});
  return work();
}

/** Work on the same thing by turns: the next begins when the one before has ended, well or badly. */

const lastInLine = new Map<string, Promise<unknown>>();

/** @param thing what must not be worked on twice at once, in this process */
export async function oneAfterAnother<T>(thing: string, work: () => Promise<T>): Promise<T> {
  const before = lastInLine.get(thing) ?? Promise.resolve();
  const mine = before.then(work, work);
  lastInLine.set(thing, mine);
  try {
    return await mine;
  } finally {
    if (lastInLine.get(thing) === mine) lastInLine.delete(thing);
  }
}

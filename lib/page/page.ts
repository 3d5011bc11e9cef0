import type { Listener } from '../listener';
export function startPage(_address: string, _parts: object): Promise<Listener> {
  throw new Error('soon');
}

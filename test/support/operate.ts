/** Operations asked for as a front end does, by rows, and followed to their end by the daemon's own words. */
import { expect } from '@jest/globals';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { eventually } from './eventually';
import type { Site } from './site';

/** @param computer null: it is of no single VM */
export function ask(site: Site, computer: string | null, kind: string, more: object = {}): Promise<OperationDetails> {
  return site.frontEnd.addOperation({ kind, computer, arguments: more, requestedBy: 'the test' });
}

/** @param seconds that it may take on a quiet machine; on Xen all takes longer */
export async function ended(site: Site, { id }: { readonly id: number }, seconds = 120): Promise<OperationDetails> {
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, seconds);
  return site.frontEnd.showOperation(id);
}

export async function operate(
  site: Site,
  computer: string | null,
  kind: string,
  more: object = {},
): Promise<OperationDetails> {
  return ended(site, await ask(site, computer, kind, more));
}

/** It goes well. */
export async function well(
  site: Site,
  computer: string | null,
  kind: string,
  more: object = {},
): Promise<OperationDetails> {
  const operation = await operate(site, computer, kind, more);
  expect([kind, operation.error]).toEqual([kind, null]);
  return operation;
}

/** What `npm run test:faults` ends with: fault, rounds, promise, result; a row for each kind of fault that was injected. */
import { it } from '@jest/globals';
import { appendFileSync } from 'node:fs';
import path from 'node:path';

/** The long form: every case on both databases, and rounds at random. The short one belongs to `npm test`. */
export const LONG = ['long', 'every'].includes(process.env.PROVISIOND_FAULTS ?? '');

/** The hour more: all moments, all databases. */
export const EVERY = process.env.PROVISIOND_FAULTS === 'every';

/** Tests that `npm test` leaves to `npm run test:faults`. */
export const inLongForm = LONG ? it : leaveOut;

/** In place of `it`: a case that this form has not. */
export function leaveOut(): void {}

/** How many rounds of faults at random moments. */
export const ROUNDS = Number(process.env.PROVISIOND_FAULT_ROUNDS ?? (LONG ? 200 : 0));

export interface FaultRow {
  readonly fault: string;
  readonly rounds: number;
  /** P1 to P12, as lib/work/README.md tells them. */
  readonly promise: string;
  readonly result: string;
}

const rows = new Map<string, { rounds: number; kept: number; promise: string; broken: string[] }>();

/** Runs one round of a fault and keeps its result. A broken promise still fails the test. */
export async function round(fault: string, promise: string, work: () => Promise<void>): Promise<void> {
  const row = rows.get(fault) ?? { rounds: 0, kept: 0, promise, broken: [] };
  rows.set(fault, row);
  row.rounds++;
  try {
    await work();
    row.kept++;
  } catch (error) {
    row.broken.push(String(error).split('\n')[0]!.slice(0, 120));
    throw error;
  }
}

/** Appends the rows of this test file to the table. To be called in afterAll. */
export function writeTable(): void {
  for (const [fault, { rounds, kept, promise, broken }] of rows) {
    const result = broken.length === 0 ? 'kept' : `BROKEN in ${rounds - kept}: ${broken[0]}`;
    const line = [fault, rounds, promise, result].join('\t');
    process.stderr.write(`${line}\n`);
    const folder = process.env.PROVISIOND_LAB;
    if (folder) appendFileSync(path.join(folder, 'faults.tsv'), `${line}\n`);
  }
  rows.clear();
}

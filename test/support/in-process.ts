/** A verb that only prints, run in this process: no other has to be started for it. */
import { runProgram } from '../../lib/cli/program';

/** @returns what it wrote to its standard output */
export async function printed(...args: string[]): Promise<string> {
  let text = '';
  const stdout = { write: (more: string) => void (text += more) };
  const stopSignal = () => new AbortController().signal;
  await runProgram(args, { stdout, stderr: { write: () => {} }, env: {}, version: '1.2.3', stopSignal });
  return text;
}

/** What every OS module must do. Scripts are not run: a guest in memory takes them, and answers as it is told. */
import { ProvisiondError } from '../../errors';
import type { Guest, OsModule, ReserveContext } from '../api';
import { hookNames } from '../plugin-shape';
import { type Check, NotTried, object } from './check';
import { EXAMPLE_RESERVATION, SECRET, SILENT } from './example';

export interface OsModuleSubject {
  /** Guarded, as the daemon uses it. */
  readonly module: OsModule;
  /** @returns what a shell says against a script, null when nothing; undefined when there is none here */
  readonly judgeScript: (text: string) => Promise<string | null | undefined>;
}

type Call = { readonly name: string; readonly text: string; readonly args: readonly (string | number)[] };
type Stage = (context: ReserveContext & { remoteIp: string }) => Promise<unknown>;

export const osModuleChecks: readonly Check<OsModuleSubject>[] = [
  {
    sentence: 'passes on why a script failed in the guest',
    async run({ module }) {
      for (const [name, stage] of stagesOf(module)) {
        const calls: Call[] = [];
        const fails: Guest['script'] = (script, text, args = []) => {
          calls.push({ name: script, text, args });
          return Promise.reject(new ProvisiondError('GUEST_COMMAND_FAILED', 'no'));
        };
        const error = await stage(contextWith(fails)).then(
          () => null,
          (thrown: unknown) => thrown as { code?: unknown },
        );
        if (calls.length === 0) continue;
        object(error !== null, `${name} says that all is well although its script '${calls[0]!.name}' failed`);
        object(error!.code === 'GUEST_COMMAND_FAILED', `${name} hides what the guest said: do not catch it`);
      }
    },
  },
  {
    sentence: 'does a stage again as it did it before',
    async run({ module }) {
      for (const [name, stage] of stagesOf(module)) {
        const [once, again] = [await callsOf(stage), await callsOf(stage)];
        const names = (calls: readonly Call[]) => calls.map((call) => call.name).join(', ');
        object(names(once) === names(again), `${name} runs '${names(once)}' and, repeated, '${names(again)}'`);
      }
    },
  },
  {
    sentence: 'keeps secrets off command lines and out of programs',
    async run({ module }) {
      for (const [name, stage] of stagesOf(module)) {
        const told = (await callsOf(stage)).find((call) => [call.text, ...call.args].join(' ').includes(SECRET));
        object(
          told === undefined,
          `${name} gives the user's password to '${told?.name}' as program or argument: use input`,
        );
      }
    },
  },
  {
    sentence: 'sends scripts that the shell of its guests can read',
    async run({ module, judgeScript }) {
      for (const [name, stage] of stagesOf(module)) {
        for (const call of await callsOf(stage)) {
          if (module.shell === 'powershell') {
            object(
              /^param\(\$a, \$in\)/.test(call.text),
              `script '${call.name}' of ${name} does not begin with param($a, $in)`,
            );
            continue;
          }
          const complaint = await judgeScript(call.text);
          if (complaint === undefined) throw new NotTried('there is no sh here');
          object(complaint === null, `script '${call.name}' of ${name}: ${complaint}`);
        }
      }
    },
  },
];

function stagesOf(module: OsModule): [string, Stage][] {
  const stages = module as unknown as Record<string, unknown>;
  return hookNames('os-module')
    .filter((name) => typeof stages[name] === 'function')
    .map((name) => [name, (context) => (stages[name] as Stage).call(module, context)]);
}

/** The scripts of a stage in a guest that says nothing; a stage may well fail of that, and is then not asked further. */
async function callsOf(stage: Stage): Promise<Call[]> {
  const calls: Call[] = [];
  const notes: Guest['script'] = (name, text, args = []) => {
    calls.push({ name, text, args });
    return Promise.resolve({});
  };
  await stage(contextWith(notes)).catch(() => {});
  return calls;
}

function contextWith(script: Guest['script']): ReserveContext & { remoteIp: string } {
  return {
    reservation: EXAMPLE_RESERVATION,
    guest: { address: '192.0.2.11', script },
    log: SILENT,
    signal: new AbortController().signal,
    accounts: [{ login: 'alice', uid: 1501, password: SECRET, sshPublicKeys: [], root: true }],
    remoteIp: '203.0.113.7',
  };
}

/** Which driver drives a host: the pinned one, or the only one that says it can. */
import { ProvisiondError, describeError } from '../errors';
import type { Log } from '../log';
import type { HostFactsForDriver, HypervisorDriver, ProbeVerdict } from './api';
import type { Verdict } from './loader';
import { type PluginInUse, missingPlugin } from './plugin-in-use';

type DriverInUse = PluginInUse<HypervisorDriver>;

/** Answers of probes, per host and version of a driver's file. */
export class ProbeMemory {
  private readonly answers = new Map<string, Map<string, { version: string; answer: Promise<ProbeVerdict> }>>();

  /** Asks once however many ask at the same time; an answer that failed to come is not remembered. */
  ask(driver: DriverInUse, facts: HostFactsForDriver): Promise<ProbeVerdict> {
    const ofHost = this.ofHost(facts.host.name);
    const known = ofHost.get(driver.file);
    if (known?.version === driver.version) return known.answer;
    const answer = Promise.resolve(driver.plugin.probe(facts)).then(checkAnswer);
    ofHost.set(driver.file, { version: driver.version, answer });
    answer.catch(() => {
      if (ofHost.get(driver.file)?.answer === answer) ofHost.delete(driver.file);
    });
    return answer;
  }

  forget(hostName: string): void {
    this.answers.delete(hostName);
  }

  private ofHost(name: string) {
    const known = this.answers.get(name) ?? new Map<string, { version: string; answer: Promise<ProbeVerdict> }>();
    this.answers.set(name, known);
    return known;
  }
}

function checkAnswer(answer: ProbeVerdict): ProbeVerdict {
  if (typeof answer?.usable === 'boolean') return answer;
  throw new ProvisiondError('PLUGIN_FAILED', 'probe must answer { usable: true or false, reason: … }');
}

interface Choice {
  readonly facts: HostFactsForDriver;
  readonly pinned: string | null;
  readonly drivers: readonly DriverInUse[];
  readonly verdicts: readonly Verdict[];
  readonly probes: ProbeMemory;
  readonly log: Log;
}

/** @throws DRIVER_NOT_FOUND, DRIVER_AMBIGUOUS, PLUGIN_REJECTED; errors of the host itself while it is asked */
export async function chooseDriver(choice: Choice): Promise<HypervisorDriver> {
  const { facts, pinned, drivers, verdicts, probes } = choice;
  const host = facts.host.name;
  if (pinned !== null) {
    const found = drivers.find(({ plugin }) => plugin.name === pinned);
    if (found) return found.plugin;
    const what = `driver '${pinned}', pinned for host ${host},`;
    throw missingPlugin('DRIVER_NOT_FOUND', what, pinned, { inUse: drivers, verdicts });
  }
  const asked = await Promise.all(drivers.map((driver) => askDriver(driver, choice)));
  const usable = asked.filter(({ answer }) => answer.usable).map(({ driver }) => driver);
  if (usable.length === 1) return usable[0]!.plugin;
  if (usable.length > 1) throw ambiguous(host, usable);
  probes.forget(host);
  throw notFound(host, asked, verdicts);
}

async function askDriver(driver: DriverInUse, { facts, probes, log }: Choice) {
  try {
    return { driver, answer: await probes.ask(driver, facts) };
  } catch (error) {
    // A defect of one driver must not stand in the way of another; that the host cannot be asked is no answer.
    if (!(error instanceof ProvisiondError && error.blame === 'plugin')) throw error;
    const reason = describeError(error);
    log.warn(`driver '${driver.plugin.name}' could not be asked about host ${facts.host.name}: ${reason}`);
    return { driver, answer: { usable: false, reason } };
  }
}

function ambiguous(host: string, usable: readonly DriverInUse[]): ProvisiondError {
  const names = usable.map(({ plugin }) => plugin.name);
  const files = usable.map(({ plugin, file }) => `'${plugin.name}' (${file})`).join(' and ');
  return new ProvisiondError('DRIVER_AMBIGUOUS', `host ${host} can be driven by ${files}`, {
    hint: `Pin one: ${names.map((name) => `provisiond host add ${host} --driver ${name}`).join(', or ')}`,
    details: { host, drivers: names },
  });
}

function notFound(
  host: string,
  asked: readonly { driver: DriverInUse; answer: ProbeVerdict }[],
  verdicts: readonly Verdict[],
): ProvisiondError {
  const refusals = asked.map(({ driver, answer }) => `'${driver.plugin.name}': ${answer.reason}`);
  const rejected = verdicts
    .filter(({ accepted }) => !accepted)
    .map(({ file, reason }) => `${file} is not used: ${reason}`);
  const tried = [...refusals, ...rejected].join('; ') || 'there is no driver file at all';
  return new ProvisiondError('DRIVER_NOT_FOUND', `no driver for host ${host}: ${tried}`, { details: { host } });
}

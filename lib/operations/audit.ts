/**
 * `provisiond audit`: what is on the hosts against what the rows own. Orphans are removed only when two looks with a grace
 * time between them found them, and nobody worked their computer since: a report taken in the middle of a load says
 * nothing.
 */
import { asProvisiondError, type ProvisiondError } from '../errors';
import type { Host } from '../host/host';
import { pause } from '../host/deadline';
import { type AuditedComputer, auditHost, type Finding } from '../libvirt/host-audit';
import { type HostSurvey, surveyHost, type SurveyedDomain, type SurveyedPlaces } from '../libvirt/host-survey';
import { removeOrphans } from '../libvirt/remove-orphans';

export interface AuditedHost {
  readonly computerId: number;
  readonly host: Host;
  readonly places: SurveyedPlaces;
}

export interface HostReport {
  readonly host: string;
  readonly findings: readonly Finding[];
  /** Set when the host could not be looked at: nothing is said of it then. */
  readonly error: ProvisiondError | null;
}

export interface AuditParts {
  readonly managementNodeId: number;
  readonly hosts: readonly AuditedHost[];
  /** The rows at this moment. */
  readonly readComputers: () => Promise<readonly AuditedComputer[]>;
}

interface Look extends HostReport {
  readonly survey: HostSurvey | null;
}

/** One look at all hosts, each by itself: a host that does not answer keeps none of the others from it. */
export async function auditHosts(parts: AuditParts): Promise<HostReport[]> {
  return (await lookAtAll(parts)).map(({ host, findings, error }) => ({ host, findings, error }));
}

async function lookAtAll({ managementNodeId, hosts, readComputers }: AuditParts): Promise<Look[]> {
  const surveys = await Promise.all(
    hosts.map(({ host, places }) =>
      surveyHost(host, places).catch((error: unknown) => asProvisiondError(error, `looking at host ${host.name}`)),
    ),
  );
  // Rows after hosts: what a reservation has made since the survey began is owned.
  const computers = await readComputers();
  return hosts.map(({ computerId, host }, index) => {
    const survey = surveys[index]!;
    if (survey instanceof Error) return { host: host.name, findings: [], error: survey, survey: null };
    const findings = auditHost(survey, computers, { computerId, managementNodeId });
    return { host: host.name, findings, error: null, survey };
  });
}

export interface FixReport extends HostReport {
  readonly removed: readonly Finding[];
  /** Orphaned at both looks, but somebody began to work the computer. */
  readonly spared: readonly Finding[];
}

/** @param graceMs between the two looks @throws the signal's reason */
export async function fixHosts(parts: AuditParts, graceMs: number, signal: AbortSignal): Promise<FixReport[]> {
  const first = await lookAtAll(parts);
  if (first.some(({ findings }) => findings.some(isOrphan))) await pause(graceMs, signal);
  const second = await lookAtAll(parts);
  return Promise.all(second.map((look, index) => fixHost(parts.hosts[index]!, first[index]!, look)));
}

async function fixHost(hosted: AuditedHost, first: Look, second: Look): Promise<FixReport> {
  const { host, findings, survey } = second;
  const removed: Finding[] = [];
  const spared: Finding[] = [];
  const report = { host, findings, removed, spared };
  const seenBefore = new Set(first.findings.filter(isOrphan).map(keyOf));
  const orphans = findings.filter((finding) => isOrphan(finding) && seenBefore.has(keyOf(finding)));
  if (survey === null || first.error !== null) return { ...report, error: second.error ?? first.error };
  try {
    for (const computer of new Set(orphans.map((orphan) => orphan.computer!))) {
      const own = orphans.filter((orphan) => orphan.computer === computer);
      const done = await removeOrphans(hosted.host, hosted.places, survey, computer, own);
      (done ? removed : spared).push(...own);
    }
    return { ...report, error: null };
  } catch (error) {
    return { ...report, error: asProvisiondError(error, `removing orphans from host ${host}`) };
  }
}

function isOrphan({ verdict }: Finding): boolean {
  return verdict === 'orphaned';
}

function keyOf({ kind, what, id }: Finding): string {
  return `${kind} ${what} ${id}`;
}

/** A domain of ours whose rows are gone, with all that its metadata tell of them. */
export interface LostDomain {
  readonly host: string;
  readonly domain: SurveyedDomain;
  /** What the database does not know: its computer, its request, its image. */
  readonly lost: readonly ('computer' | 'request' | 'image')[];
}

export interface KnownRows {
  readonly computerIds: ReadonlySet<number>;
  readonly requestIds: ReadonlySet<number>;
  readonly imageRevisionIds: ReadonlySet<number>;
}

/** `provisiond rebuild`: what the database lost, from the metadata on the hosts. @throws errors of hosts */
export async function findLost(parts: Pick<AuditParts, 'managementNodeId' | 'hosts'>, known: KnownRows) {
  const surveys = await Promise.all(parts.hosts.map(({ host, places }) => surveyHost(host, places)));
  return surveys.flatMap(({ domains }, index) =>
    domains.flatMap((domain): LostDomain[] => {
      const { identity } = domain;
      if (identity?.managementNodeId !== parts.managementNodeId) return [];
      const lost = [
        ...(known.computerIds.has(identity.computerId) ? [] : (['computer'] as const)),
        ...(known.requestIds.has(identity.requestId) ? [] : (['request'] as const)),
        ...(known.imageRevisionIds.has(identity.imageRevisionId) ? [] : (['image'] as const)),
      ];
      return lost.length === 0 ? [] : [{ host: parts.hosts[index]!.host.name, domain, lost }];
    }),
  );
}

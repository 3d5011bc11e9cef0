/**
 * Whose is what on a host: owned by the rows, orphaned (ours by metadata or by name and place, with no row that owns it),
 * or wild. A pure judgement of a survey; wild things are reported and never touched.
 */
import path from 'node:path';
import type { HostSurvey, SurveyedDomain } from './host-survey';
import { loadBaseOf } from '../model/volume';
import { isDiskOf, isXmlFileOf } from './ownership';

/** A computer as the rows have it. */
export interface AuditedComputer {
  readonly computerId: number;
  readonly shortName: string;
  readonly state: string;
  readonly hostComputerId: number | null;
  readonly currentRevisionId: number | null;
  readonly isBusy: boolean;
}

export type Verdict = 'owned' | 'orphaned' | 'wild';

export interface Finding {
  readonly kind: 'domain' | 'file' | 'address';
  /** Name of the domain, path of the file, MAC of the entry. */
  readonly what: string;
  /** Tells it from another of the same name: UUID, version of the file, address. */
  readonly id: string;
  readonly verdict: Verdict;
  readonly computer: string | null;
  readonly why: string;
}

/** @param managementNodeId ours: what other nodes made is theirs */
export function auditHost(
  survey: HostSurvey,
  computers: readonly AuditedComputer[],
  host: { readonly computerId: number; readonly managementNodeId: number },
): Finding[] {
  const domains = survey.domains.map((domain) => judgeDomain(domain, computers, host));
  return [
    ...domains,
    ...judgeFiles(survey, computers, host.computerId),
    ...judgeEntries(survey, computers, host.computerId),
  ];
}

function judgeDomain(
  { name, uuid, identity }: SurveyedDomain,
  computers: readonly AuditedComputer[],
  host: { readonly computerId: number; readonly managementNodeId: number },
): Finding {
  const finding = { kind: 'domain', what: name, id: uuid } as const;
  if (identity === null) return { ...finding, verdict: 'wild', computer: null, why: 'it carries no metadata of ours' };
  const { computerName, computerId, managementNodeId, imageRevisionId } = identity;
  const say = (verdict: Verdict, why: string): Finding => ({ ...finding, verdict, computer: computerName, why });
  if (managementNodeId !== host.managementNodeId) return say('wild', `management node ${managementNodeId} made it`);
  const computer = computers.find((candidate) => candidate.computerId === computerId);
  if (!computer) return say('orphaned', `there is no computer ${computerId} (${computerName}) any more`);
  if (computer.hostComputerId !== host.computerId) return say('orphaned', `${computerName} is on another host now`);
  if (computer.isBusy) return say('owned', 'a request has its computer');
  if (computer.state === 'maintenance') return say('owned', 'its computer is in maintenance');
  if (computer.currentRevisionId === imageRevisionId) return say('owned', 'its computer is kept loaded with it');
  return say('orphaned', `no request has ${computerName}, and it is not kept loaded with that image`);
}

/** Files go with the domain that uses them; without one they are ours by name and place only. */
function judgeFiles(survey: HostSurvey, computers: readonly AuditedComputer[], hostId: number): Finding[] {
  const used = survey.domains.flatMap(({ disks }) => disks);
  const bases = used.map((disk) => baseOf(path.posix.basename(disk)));
  const loads = computers.flatMap(({ shortName }) => used.flatMap((disk) => loadBaseOf(shortName, disk) ?? []));
  return survey.files.flatMap(({ path: file, version }): Finding[] => {
    const name = path.posix.basename(file);
    const finding = { kind: 'file', what: file, id: version } as const;
    // Of a load that has a disk in use all is used that is no disk itself, of whatever generation.
    const isBeside = !/\.(qcow2|raw|vmdk|vdi|img)$/.test(name) && loads.some((base) => name.startsWith(`${base}.`));
    const isUsed = (isBeside || bases.some((base) => name.startsWith(`${base}.`))) && !name.endsWith('.part');
    if (isUsed) return [];
    const computer = computers.find(
      ({ shortName, hostComputerId }) =>
        hostComputerId === hostId && (isDiskOf(shortName, file) || isXmlFileOf(shortName, file)),
    );
    if (!computer)
      return [{ ...finding, verdict: 'wild', computer: null, why: 'its name is of no computer of this host' }];
    const { shortName } = computer;
    if (computer.isBusy || computer.state === 'maintenance') {
      return [{ ...finding, verdict: 'owned', computer: shortName, why: 'a request has its computer' }];
    }
    return [
      {
        ...finding,
        verdict: 'orphaned',
        computer: shortName,
        why: 'no domain uses it, and no request has its computer',
      },
    ];
  });
}

function baseOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.'));
}

function judgeEntries(survey: HostSurvey, computers: readonly AuditedComputer[], hostId: number): Finding[] {
  const macs = new Set(survey.domains.flatMap((domain) => domain.macs));
  return survey.entries.flatMap(({ mac, ip, name }): Finding[] => {
    if (macs.has(mac)) return [];
    const finding = { kind: 'address', what: mac, id: ip } as const;
    const computer = computers.find(({ shortName, hostComputerId }) => hostComputerId === hostId && shortName === name);
    if (!computer)
      return [{ ...finding, verdict: 'wild', computer: null, why: `${name ?? 'it'} is no computer of this host` }];
    const isOwned = computer.isBusy || computer.state === 'maintenance';
    const why = isOwned ? 'a request has its computer' : 'no domain has that MAC, and no request has its computer';
    return [{ ...finding, verdict: isOwned ? 'owned' : 'orphaned', computer: computer.shortName, why }];
  });
}

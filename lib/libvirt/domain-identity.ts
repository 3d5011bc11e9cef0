/** The identity that our domains carry in `<metadata>`: written, and read back from what libvirt shows. */
import { type DomainIdentity, METADATA_NAMESPACE } from '../model/identity';
import type { XmlNode } from '../plugins/api';
import { childrenOf, firstOf } from '../xml';

const ELEMENT = 'provisiond:identity';

/**
 * The element below `<metadata>`.
 * @param hasSeed whether the guest is told by a seed volume what it is; an image that is made of it wants one too
 */
export function identityMetadata(identity: DomainIdentity, hasSeed = false): XmlNode {
  const attributes: Record<string, string> = { 'xmlns:provisiond': METADATA_NAMESPACE };
  for (const [name, value] of Object.entries(identity)) attributes[name] = String(value);
  if (hasSeed) attributes.seed = NOCLOUD;
  return { [ELEMENT]: [{ $: attributes }] };
}

const NOCLOUD = 'nocloud';

/** Whether guests of an image with that XML beside it are told what they are by a seed volume of cloud-init. */
export function wantsSeed(domain: XmlNode): boolean {
  const found = childrenOf(firstOf(domain, 'metadata'), ELEMENT)[0]?.$;
  return found?.['xmlns:provisiond'] === METADATA_NAMESPACE && found.seed === NOCLOUD;
}

/** The XML file beside a cloud image: virtio throughout, and a seed. */
export function cloudImageXml(): string {
  return [
    '<domain>',
    `  <metadata><${ELEMENT} xmlns:provisiond='${METADATA_NAMESPACE}' seed='${NOCLOUD}'/></metadata>`,
    "  <devices><disk device='disk'><target bus='virtio'/></disk><interface><model type='virtio'/></interface></devices>",
    '</domain>',
    '',
  ].join('\n');
}

/** @returns null for a domain without our metadata, or with metadata that make no sense */
export function readIdentity(domain: XmlNode): DomainIdentity | null {
  const found = childrenOf(firstOf(domain, 'metadata'), ELEMENT)[0]?.$;
  if (found?.['xmlns:provisiond'] !== METADATA_NAMESPACE) return null;
  const number = (name: string) => (/^\d+$/.test(found[name] ?? '') ? Number(found[name]) : null);
  const managementNodeId = number('managementNodeId');
  const computerId = number('computerId');
  const { loadId } = found;
  if (managementNodeId === null || computerId === null || loadId === undefined) return null;
  return {
    managementNodeId,
    computerId,
    computerName: found.computerName ?? '',
    requestId: number('requestId') ?? 0,
    reservationId: number('reservationId') ?? 0,
    imageId: number('imageId') ?? 0,
    imageRevisionId: number('imageRevisionId') ?? 0,
    imageName: found.imageName ?? '',
    loadId,
  };
}

/**
 * What every domain that we make carries in its `<metadata>`, so that ownership is never guessed from a name.
 */
export const METADATA_NAMESPACE = 'https://provisiond.org/xmlns/domain/1';

export interface DomainIdentity {
  readonly managementNodeId: number;
  readonly computerId: number;
  readonly computerName: string;
  readonly requestId: number;
  readonly reservationId: number;
  readonly imageId: number;
  readonly imageRevisionId: number;
  readonly imageName: string;
  /** Which load made it: tells a resumed load from a reload of the same reservation. */
  readonly loadId: string;
}

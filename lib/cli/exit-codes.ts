/** What a shell script learns from the exit code (`sysexits.h` where it has a word for it). */
import type { ProvisiondError } from '../errors';
import { type ErrorCode } from '../errors';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  /** EX_TEMPFAIL: the same command may well succeed a little later. */
  tryAgain: 75,
  /** EX_CONFIG */
  configuration: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Codes that mean more than their catalogue entry says; for all others it decides. */
const BY_CODE: { readonly [C in ErrorCode]?: ExitCode } = {
  NOT_FOUND: EXIT.notFound,
  REQUEST_NOT_FOUND: EXIT.notFound,
  IMAGE_NOT_FOUND: EXIT.notFound,
  DOMAIN_NOT_FOUND: EXIT.notFound,
  CONFLICT: EXIT.conflict,
  COMPUTER_NOT_AVAILABLE: EXIT.conflict,
  ADDRESS_TAKEN: EXIT.conflict,
  DOMAIN_NOT_OURS: EXIT.conflict,
  VM_BAD_POWER_STATE: EXIT.conflict,
  OPERATION_BLOCKED: EXIT.conflict,
  OTHER_OPERATION_IN_PROGRESS: EXIT.conflict,
  DOMAIN_EXISTS: EXIT.conflict,
  HOST_IS_LIVE: EXIT.conflict,
  SNAPSHOT_NOT_FOUND: EXIT.notFound,
  OPERATION_INVALID: EXIT.usage,
  IMAGE_AMBIGUOUS: EXIT.conflict,
  CLAIM_LOST: EXIT.tryAgain,
  REQUEST_INVALID: EXIT.usage,
};

/** The exit code for an error: by its code, else "try again" when that may help, else by who must act. */
export function exitCodeOf(error: Pick<ProvisiondError, 'code' | 'retryable' | 'blame'>): ExitCode {
  const known = BY_CODE[error.code];
  if (known !== undefined) return known;
  if (error.retryable) return EXIT.tryAgain;
  return error.blame === 'config' ? EXIT.configuration : EXIT.failed;
}

/** What went wrong with a guest is the guest's concern: nobody is to blame its VM host for it. */
import { ProvisiondError, type ErrorCode } from '../errors';

const CODES: Partial<Record<ErrorCode, ErrorCode>> = {
  HOST_UNREACHABLE: 'GUEST_NO_ANSWER',
  HOST_KEY_MISMATCH: 'GUEST_KEY_CHANGED',
  HOST_LOGIN_REFUSED: 'GUEST_LOGIN_REFUSED',
};

/**
 * The error of a connection or command as one of a guest: HOST_UNREACHABLE → GUEST_NO_ANSWER, HOST_KEY_MISMATCH →
 * GUEST_KEY_CHANGED, HOST_LOGIN_REFUSED → GUEST_LOGIN_REFUSED; COMMAND_FAILED, COMMAND_TIMEOUT and OUTCOME_UNKNOWN
 * keep their codes. All of them blame the computer (a refused log-in: the image).
 */
export function asGuestError(thrown: unknown): unknown {
  if (!(thrown instanceof ProvisiondError)) return thrown;
  const { message, cause, details, retryable } = thrown;
  const code = CODES[thrown.code];
  if (code) return new ProvisiondError(code, message, { cause, details });
  if (thrown.blame !== 'host') return thrown;
  return new ProvisiondError(thrown.code, message, { cause, details, retryable, blame: 'computer' });
}

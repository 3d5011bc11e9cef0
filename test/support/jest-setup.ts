/** Real programs on a busy machine take their time; a hang is still noticed. Tests that wait for guests say how long. */
import { jest } from '@jest/globals';

jest.setTimeout(60_000);
// Guests are emulated on a machine that others use as well: what fails is tried once more, and the failure is printed.
jest.retryTimes(1, { logErrorsBeforeRetry: true });

import { jest } from '@jest/globals';
import { TEST_LIMIT_MS } from './patience';

jest.setTimeout(TEST_LIMIT_MS);
// Guests are emulated on a machine that others use as well: what fails is tried once more, and the failure is printed.
// At once: the tests of a file are often the chapters of one story, and its end is no place to try the middle again.
jest.retryTimes(1, { logErrorsBeforeRetry: true, retryImmediately: true });

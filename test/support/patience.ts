/** Real programs on a busy machine take their time; a hang is still noticed. Tests that wait for guests say how long. */
import { jest } from '@jest/globals';

jest.setTimeout(60_000);

import { userInfo } from 'node:os';

/** Who asks for an operation, for people. */
export const askedBy = (name: string | undefined): string => name ?? `${userInfo().username} (command line)`;

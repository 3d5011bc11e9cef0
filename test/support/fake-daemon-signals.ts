/** What a daemon of the fake world obeys besides the daemon's own signals. */

export const COLLECT_GARBAGE = 'SIGUSR2';

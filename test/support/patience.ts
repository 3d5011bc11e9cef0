/**
 * Deadlines of tests are for what hangs, not for what is slow: speed is measured in test/bench. They are written as what
 * a quiet machine needs, with room, and waited for so many times as long; `PROVISIOND_PATIENCE=6` on a slower one.
 */
export const PATIENCE = Number(process.env.PROVISIOND_PATIENCE ?? 3);
if (!(PATIENCE > 0))
  throw new Error(`PROVISIOND_PATIENCE is a number like 6, not '${process.env.PROVISIOND_PATIENCE}'`);

/** The longest that a test may take which does not say so itself. */
export const TEST_LIMIT_MS = 100_000 * PATIENCE;

/** What the daemon asks of V8. */
import v8 from 'node:v8';

/**
 * By how much the heap may outgrow what is in use before it is tidied up. V8's own choice is several times as much when there is a lot
 * to do: with 1000 reservations at once the daemon took twice the memory that it needed (test/bench/RESULTS.md).
 */
const HEAP_GROWTH = '--heap-growing-percent=10';

/** To be called once, before there is much to do. */
export function keepHeapSmall(): void {
  v8.setFlagsFromString(HEAP_GROWTH);
}

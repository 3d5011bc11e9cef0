/** What a bench comes to: values of provisiond, those of the floor from the same run, and the goal they are held to. */

export interface Measure {
  readonly name: string;
  readonly unit: 'ms' | '%' | 'MiB' | '';
  readonly provisiond: readonly number[];
  /** The same work done by the plainest means, interleaved with provisiond's; none: nothing to compare with. */
  readonly floor?: readonly number[];
  /** Not more than this: the ratio of the medians, or provisiond's median in the measure's unit. */
  readonly goal?: { readonly ratio: number } | { readonly atMost: number };
}

export interface Verdict {
  readonly measure: Measure;
  readonly ratio: number | null;
  /** null: no goal, or nothing was measured. */
  readonly met: boolean | null;
}

export function judge(measure: Measure): Verdict {
  const { provisiond, floor, goal } = measure;
  const ratio = floor && floor.length > 0 ? median(provisiond) / median(floor) : null;
  if (!goal || provisiond.length === 0) return { measure, ratio, met: null };
  if ('atMost' in goal) return { measure, ratio, met: median(provisiond) <= goal.atMost };
  return { measure, ratio, met: ratio === null ? null : ratio <= goal.ratio };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

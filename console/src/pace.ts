/** How fast the city's clock runs beside ours. */

export interface Sample {
  here: number;
  there: number;
}

/** How many milliseconds pass there in one of ours; 1 until two samples are known. */
export function paceOf(samples: readonly Sample[]): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.here - first.here < 1_000) return 1;
  return Math.max(0, (last.there - first.there) / (last.here - first.here));
}

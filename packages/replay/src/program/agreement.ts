/** One call of invalidate_range_start, in the trace or in the model. */
export interface NotifiedRange {
  /** Bytes, half open. */
  readonly start: number;
  readonly end: number;
  /** What the program did: `write fault`, `munmap`, `fork`. */
  readonly cause: string;
  /** Line of the trace that caused it. */
  readonly line: number;
}

/** How often model and trace agree. */
export interface Agreement {
  /** Notified by both, in the same order. */
  readonly matched: number;
  /** In the trace only. */
  readonly missing: number;
  /** In the model only. */
  readonly extra: number;
}

/** The comparison of one thread's ranges. */
export interface Comparison {
  readonly byCause: ReadonlyMap<string, Agreement>;
  readonly missing: readonly NotifiedRange[];
  readonly extra: readonly NotifiedRange[];
}

/** Share of the ranges of either side that both have; 1 when there are none. */
export function agreementShare({ matched, missing, extra }: Agreement): number {
  const all = matched + missing + extra;
  return all === 0 ? 1 : matched / all;
}

const sameRange = (a: NotifiedRange, b: NotifiedRange): boolean => a.start === b.start && a.end === b.end;

/**
 * Compares two sequences of ranges in order: what is left of a longest common subsequence is missing or extra. A matched
 * range counts for the cause that the model saw.
 */
export function compareRanges(trace: readonly NotifiedRange[], model: readonly NotifiedRange[]): Comparison {
  const counts = new Map<string, { matched: number; missing: number; extra: number }>();
  const count = (cause: string, what: keyof Agreement): void => {
    const entry = counts.get(cause) ?? { matched: 0, missing: 0, extra: 0 };
    entry[what]++;
    counts.set(cause, entry);
  };
  const missing: NotifiedRange[] = [];
  const extra: NotifiedRange[] = [];
  const pairs = commonPairs(trace, model);
  let t = 0;
  let m = 0;
  for (const [nextT, nextM] of [...pairs, [trace.length, model.length] as const]) {
    for (; t < nextT; t++) {
      missing.push(trace[t]!);
      count(trace[t]!.cause, "missing");
    }
    for (; m < nextM; m++) {
      extra.push(model[m]!);
      count(model[m]!.cause, "extra");
    }
    if (t < trace.length) count(model[m]!.cause, "matched");
    t++;
    m++;
  }
  return { byCause: counts, missing, extra };
}

/** Differences after which the rest counts as different: a run with more of them says nothing anyway. */
const MOST_DIFFERENCES = 4000;

/**
 * Index pairs of a longest common subsequence: Myers' greedy algorithm, whose time is the length times the number of
 * differences.
 */
function commonPairs(a: readonly NotifiedRange[], b: readonly NotifiedRange[]): (readonly [number, number])[] {
  const limit = Math.min(a.length + b.length, MOST_DIFFERENCES);
  const furthest = new Int32Array(2 * limit + 3);
  const middle = limit + 1;
  const history: Int32Array[] = [];
  for (let d = 0; d <= limit; d++) {
    history.push(furthest.slice(middle - d - 1, middle + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && furthest[middle + k - 1]! < furthest[middle + k + 1]!);
      let x = down ? furthest[middle + k + 1]! : furthest[middle + k - 1]! + 1;
      while (x < a.length && x - k < b.length && sameRange(a[x]!, b[x - k]!)) x++;
      furthest[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return walkBack(history, d, a.length, b.length);
    }
  }
  return [];
}

function walkBack(
  history: readonly Int32Array[],
  differences: number,
  endA: number,
  endB: number,
): (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  let x = endA;
  let y = endB;
  for (let d = differences; d >= 0; d--) {
    const k = x - y;
    const at = (diagonal: number): number => history[d]![diagonal + d + 1]!;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const previous = d === 0 ? 0 : down ? k + 1 : k - 1;
    const startX = d === 0 ? 0 : at(previous);
    const startY = d === 0 ? 0 : startX - previous;
    const snakeX = d === 0 ? 0 : down ? startX : startX + 1;
    while (x > snakeX) pairs.push([--x, --y]);
    x = startX;
    y = startY;
  }
  return pairs.reverse();
}

/** A trace without repeats that cannot change a TLB. */
export interface StrippedTrace {
  readonly keys: Int32Array;
  /** Accesses left out; each would have hit L1. */
  readonly stripped: number;
}

/** Sets of the smallest L1 for which stripping is exact. */
const SETS = 16;

/**
 * Leaves out every access that repeats the last one of its L1 set: it would hit the newest entry of the set, which changes
 * nothing in a TLB with LRU order and at least 16 sets. A read after a write counts as a repeat, a write after a read does
 * not, since it may need an upgrade.
 *
 * Exact between invalidations only: `barriers` are indexes in ascending order; before the access of that index something
 * was invalidated, and no access before it lets a later one be left out.
 *
 * @public
 */
export function stripTrace(keys: Int32Array, barriers: readonly number[] = [], length = keys.length): StrippedTrace {
  const newest = new Int32Array(SETS);
  const kept = new Int32Array(length);
  let n = 0;
  let barrier = 0;
  for (let from = 0; from < length;) {
    while (barrier < barriers.length && barriers[barrier]! <= from) barrier++;
    const to = Math.min(length, barriers[barrier] ?? length);
    newest.fill(0);
    n = stripPart(keys, from, to, newest, kept, n);
    from = to;
  }
  return { keys: kept.subarray(0, n), stripped: length - n };
}

function stripPart(
  keys: Int32Array,
  from: number,
  to: number,
  newest: Int32Array,
  kept: Int32Array,
  n: number,
): number {
  for (let i = from; i < to; i++) {
    const key = keys[i]!;
    const set = (key >>> 1) & (SETS - 1);
    const last = newest[set]!;
    if (last === key || last === (key | 1)) continue;
    newest[set] = key;
    kept[n++] = key;
  }
  return n;
}

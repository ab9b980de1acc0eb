import { ReplayError } from "../errors.js";

/** Sizes of the two TLB levels of a replay. L1 has four ways; sets are powers of two. */
export interface TlbGeometry {
  readonly l1Sets: number;
  readonly l2Sets: number;
  readonly l2Ways: number;
}

/** 64 entries of 4 ways, then 1536 entries of 12 ways: a data TLB of a recent x86 server. */
export const DEFAULT_TLB: TlbGeometry = { l1Sets: 16, l2Sets: 128, l2Ways: 12 };

/** The page may be read; bit 1 says that it may be written too. */
export const MAPPED = 1;
export const WRITABLE = 2;

/**
 * What is behind the TLB: page tables, and the kernel that fills them. Tags are keys without their write bit; see
 * {@link RegionTable}.
 */
export interface TlbBackend {
  /** What the page tables say about a page: 0, {@link MAPPED}, or MAPPED | {@link WRITABLE}. */
  walk(tag: number): number;
  /**
   * A page fault, after which the access is tried again; what the page tables say then. While it runs, the kernel calls
   * {@link TlbReplay.drop} for what it flushes.
   */
  fault(tag: number, write: boolean): number;
}

/** Counters of a replay. All accesses end as one of the first three. */
export interface TlbCounters {
  readonly l1Hits: number;
  readonly l2Hits: number;
  readonly walks: number;
  /** Walks that found no page. */
  readonly faults: number;
  /** Walks that found a page the access may not write. */
  readonly upgrades: number;
  /** Accesses that the kernel refused. */
  readonly refused: number;
}

/** Two levels of TLB and what stands behind them. Made by {@link createTlbReplay}. */
export interface TlbReplay {
  readonly counters: TlbCounters;
  /** Replays one access a word. */
  run(keys: Int32Array, length?: number): void;
  /**
   * Replays runs: `counts[i]` times the access `keys[i]`. All but the first of a run hit L1.
   *
   * @throws ReplayError REPLAY_STRIP when the kernel refused an access
   */
  runRuns(keys: Int32Array, counts: Int32Array, length?: number): void;
  /**
   * Replays a trace that {@link stripTrace} shortened; `stripped` is what it left out.
   *
   * @throws ReplayError REPLAY_STRIP when a fault on one page dropped another: then stripping is not exact
   */
  runStripped(keys: Int32Array, stripped: number, length?: number): void;
  /** Forgets one page: INVLPG. */
  drop(tag: number): void;
  /** Forgets everything, as a full flush does. */
  dropAll(): void;
}

/**
 * Two levels of set-associative TLB with true LRU order, exact to the entry. A set is a run of words in LRU order, newest
 * first; an entry is `tag << 1 | writable`, so an access hits when the entry equals its key or its key with the write bit.
 *
 * A function with locals and not a class: V8 takes the arrays and masks of a closure as constants and leaves out the bounds
 * checks of the loop, which is worth a factor of 1.7; see docs/reference/performance.md.
 *
 * @throws ReplayError REPLAY_OPTION for sizes that are no powers of two
 * @public
 */
export function createTlbReplay(backend: TlbBackend, geometry: TlbGeometry = DEFAULT_TLB): TlbReplay {
  checkGeometry(geometry);
  const ways = geometry.l2Ways;
  const shift = Math.ceil(Math.log2(ways));
  const l1Mask = geometry.l1Sets * 4 - 4;
  const l2Mask = geometry.l2Sets - 1;
  const l1 = new Int32Array(geometry.l1Sets * 4);
  const l2 = new Int32Array(geometry.l2Sets << shift);
  let l1Hits = 0;
  let l2Hits = 0;
  let walks = 0;
  let faults = 0;
  let upgrades = 0;
  let refused = 0;
  /** The page whose fault is being handled, or -1. */
  let faulting = -1;
  /** Whether repeats were left out, so that a fault may not drop other pages. */
  let strict = false;

  /**
   * The loop that counts: goes on from `from` while L1 hits; the index of the first access that misses, or `length`. No calls,
   * so that nothing of the slow path gets into its code.
   */
  function hitsFrom(keys: Int32Array, from: number, length: number): number {
    for (let i = from; i < length; i++) {
      const key = keys[i]!;
      const writable = key | 1;
      const s = (key << 1) & l1Mask;
      const a = l1[s]!;
      if (a === key || a === writable) continue;
      const b = l1[s + 1]!;
      if (b === key || b === writable) {
        l1[s + 1] = a;
        l1[s] = b;
        continue;
      }
      const c = l1[s + 2]!;
      if (c === key || c === writable) {
        l1[s + 2] = b;
        l1[s + 1] = a;
        l1[s] = c;
        continue;
      }
      const d = l1[s + 3]!;
      if (d === key || d === writable) {
        l1[s + 3] = c;
        l1[s + 2] = b;
        l1[s + 1] = a;
        l1[s] = d;
        continue;
      }
      return i;
    }
    return length;
  }

  function run(keys: Int32Array, length = keys.length): void {
    let misses = 0;
    for (let i = hitsFrom(keys, 0, length); i < length; i = hitsFrom(keys, i + 1, length)) {
      misses++;
      miss(keys[i]!);
    }
    l1Hits += length - misses;
  }

  /** Looks in L2 and moves the entries of the set down by one in the same pass: a hit or a walk puts one in front anyway. */
  function miss(key: number): void {
    const writable = key | 1;
    const tag = key >>> 1;
    const s = (tag & l2Mask) << shift;
    const end = s + ways;
    let carry = l2[s]!;
    if (carry === key || carry === writable) {
      l2Hits++;
      fillL1(key, carry);
      return;
    }
    for (let i = s + 1; i < end; i++) {
      const entry = l2[i]!;
      l2[i] = carry;
      if (entry === key || entry === writable) {
        l2Hits++;
        l2[s] = entry;
        fillL1(key, entry);
        return;
      }
      carry = entry;
    }
    walks++;
    let rights = backend.walk(tag);
    if (rights === 0 || ((key & 1) !== 0 && (rights & WRITABLE) === 0)) {
      // The fault sees the set as it was.
      for (let i = s; i < end - 1; i++) l2[i] = l2[i + 1]!;
      l2[end - 1] = carry;
      rights = pageFault(tag, key & 1, rights);
      if (rights === 0) return;
      for (let i = end - 1; i > s; i--) l2[i] = l2[i - 1]!;
    }
    const entry = (tag << 1) | (rights >> 1);
    l2[s] = entry;
    fillL1(key, entry);
  }

  function fillL1(key: number, entry: number): void {
    const s = (key << 1) & l1Mask;
    l1[s + 3] = l1[s + 2]!;
    l1[s + 2] = l1[s + 1]!;
    l1[s + 1] = l1[s]!;
    l1[s] = entry;
  }

  /** The kernel's turn. The entry that refused the access goes first, as the hardware drops it. */
  function pageFault(tag: number, write: number, before: number): number {
    if (before === 0) faults++;
    else upgrades++;
    drop(tag);
    faulting = tag;
    let after: number;
    try {
      after = backend.fault(tag, write !== 0);
    } finally {
      faulting = -1;
    }
    if (after !== 0 && (write === 0 || (after & WRITABLE) !== 0)) return after;
    refused++;
    if (strict) throw notExact("the kernel refused an access");
    return 0;
  }

  function drop(tag: number): void {
    if (strict && faulting !== -1 && faulting !== tag) throw notExact("a fault on one page flushed another");
    dropFrom(l1, (tag << 2) & l1Mask, 4, tag);
    dropFrom(l2, (tag & l2Mask) << shift, ways, tag);
  }

  function dropAll(): void {
    if (strict && faulting !== -1) throw notExact("a fault flushed the whole TLB");
    l1.fill(0);
    l2.fill(0);
  }

  return {
    get counters() {
      return { l1Hits, l2Hits, walks, faults, upgrades, refused };
    },
    run,
    runRuns(keys, counts, length = keys.length) {
      const before = refused;
      run(keys, length);
      if (refused !== before) throw notExact("the kernel refused an access");
      let repeats = 0;
      for (let i = 0; i < length; i++) repeats += counts[i]! - 1;
      l1Hits += repeats;
    },
    runStripped(keys, stripped, length = keys.length) {
      strict = true;
      try {
        run(keys, length);
      } finally {
        strict = false;
      }
      l1Hits += stripped;
    },
    drop,
    dropAll,
  };
}

function checkGeometry({ l1Sets, l2Sets, l2Ways }: TlbGeometry): void {
  if (isPowerOfTwo(l1Sets) && isPowerOfTwo(l2Sets) && Number.isInteger(l2Ways) && l2Ways > 0) return;
  const message = `a TLB needs powers of two for its sets and at least one way, not ${l1Sets} and ${l2Sets} sets and ${l2Ways} ways`;
  throw new ReplayError("REPLAY_OPTION", message);
}

const isPowerOfTwo = (n: number): boolean => Number.isInteger(n) && n > 0 && (n & (n - 1)) === 0;

function notExact(why: string): ReplayError {
  return new ReplayError(
    "REPLAY_STRIP",
    `${why}, so leaving repeats out is not exact. Replay the trace without stripping`,
  );
}

function dropFrom(entries: Int32Array, start: number, ways: number, tag: number): void {
  const end = start + ways;
  for (let i = start; i < end; i++) {
    if (entries[i]! >>> 1 !== tag || entries[i] === 0) continue;
    for (let j = i; j < end - 1; j++) entries[j] = entries[j + 1]!;
    entries[end - 1] = 0;
    return;
  }
}

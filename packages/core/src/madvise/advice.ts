/** MADV_ constants, with the values of Linux. */
export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MADV_SEQUENTIAL = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MADV_FREE = 8;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
export const MADV_DONTNEED_LOCKED = 24;
export const MADV_COLLAPSE = 25;
export const MADV_HWPOISON = 100;
export const MADV_SOFT_OFFLINE = 101;
export const MADV_GUARD_INSTALL = 102;
export const MADV_GUARD_REMOVE = 103;

/** First kernel version that knows an advice; those that are not listed are older than every profile. */
const KNOWN_SINCE: Readonly<Record<number, readonly [number, number]>> = {
  [MADV_POPULATE_READ]: [5, 14],
  [MADV_POPULATE_WRITE]: [5, 14],
  [MADV_DONTNEED_LOCKED]: [5, 18],
  [MADV_COLLAPSE]: [6, 1],
  [MADV_GUARD_INSTALL]: [6, 13],
  [MADV_GUARD_REMOVE]: [6, 13],
};

const OLD: ReadonlySet<number> = new Set([
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTDUMP,
  MADV_DODUMP,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_HWPOISON,
  MADV_SOFT_OFFLINE,
]);

/** madvise_behavior_valid(): the version from which on `advice` exists; undefined when no kernel knows it. */
export function adviceSince(advice: number): readonly [number, number] | undefined {
  return OLD.has(advice) ? [0, 0] : KNOWN_SINCE[advice];
}

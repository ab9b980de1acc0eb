import type { FrameMap } from "../identity.js";
import { FrameNumbers } from "../identity.js";
import type { QemuPages, QemuTransition } from "./qemu-record.js";

/** Bits of a page's facts. */
export const LISTED = 1 << 0;
export const PRESENT = 1 << 1;
export const HW_WRITE = 1 << 2;
export const MAY_WRITE = 1 << 3;
export const DIRTY = 1 << 4;
export const YOUNG = 1 << 5;
export const EXCLUSIVE = 1 << 6;
export const SOFT_DIRTY = 1 << 7;
export const CONT = 1 << 8;
export const SPECIAL = 1 << 9;
export const UFFD_WP = 1 << 10;
export const PROT_NONE = 1 << 11;
export const SWAPPED = 1 << 12;
export const ZERO_PAGE = 1 << 13;
/** Two bits: the level of the entry, see {@link LEVELS}. */
export const LEVEL_SHIFT = 14;
export const LEVEL_MASK = 3 << LEVEL_SHIFT;
export const LEVELS = ["none", "pte", "pmd"] as const;

/** Map count of a page that has none. */
export const NO_MAP_COUNT = -1;
/** The zero page's frame. */
const ZERO_FRAME = 0;

/** The state of every page of an arena after an operation. */
export class PageFacts implements FrameMap {
  readonly bits: Int32Array;
  readonly frames: Int32Array;
  readonly mapCounts: Int32Array;

  constructor(readonly arena: number) {
    this.bits = new Int32Array(arena);
    this.frames = new Int32Array(arena);
    this.mapCounts = new Int32Array(arena).fill(NO_MAP_COUNT);
  }

  /** No page shows anything. */
  clear(): void {
    this.bits.fill(0);
    this.frames.fill(ZERO_FRAME);
    this.mapCounts.fill(NO_MAP_COUNT);
  }
}

/** Reads recorded snapshots of one script, in order. */
export class RecordedPages {
  readonly #numbers = new FrameNumbers();
  readonly #arena: number;
  #now: PageFacts;
  #before: PageFacts;

  constructor(arena: number) {
    this.#arena = arena;
    this.#now = new PageFacts(arena);
    this.#before = new PageFacts(arena);
  }

  /** The facts of a snapshot. They are good until the snapshot after the next is read. */
  read(runs: readonly QemuPages[]): PageFacts {
    const facts = this.#before;
    this.#before = this.#now;
    this.#now = facts;
    facts.clear();
    this.#numbers.begin();
    for (const run of runs) {
      const bits = bitsOf(run);
      for (let i = 0; i < run.n; i++) {
        const page = run.va + i;
        if (page < 0 || page >= this.#arena) continue;
        facts.bits[page] = bits;
        facts.mapCounts[page] = run.mapCount ?? NO_MAP_COUNT;
        facts.frames[page] = typeof run.pfnClass === "number" ? this.#numbers.of(run.pfnClass + i) : ZERO_FRAME;
      }
    }
    return facts;
  }
}

function bitsOf(run: QemuPages): number {
  const flag = (set: boolean | null | undefined, bit: number): number => (set === true ? bit : 0);
  return (
    LISTED |
    flag(run.present, PRESENT) |
    flag(run.hwWrite, HW_WRITE) |
    flag(run.mayWrite, MAY_WRITE) |
    flag(run.dirty, DIRTY) |
    flag(run.young, YOUNG) |
    flag(run.exclusive, EXCLUSIVE) |
    flag(run.softDirty, SOFT_DIRTY) |
    flag(run.cont, CONT) |
    flag(run.special, SPECIAL) |
    flag(run.uffdWp, UFFD_WP) |
    flag(run.protNone, PROT_NONE) |
    flag(run.swapped, SWAPPED) |
    flag(run.pfnClass === "zero", ZERO_PAGE) |
    (LEVELS.indexOf(run.level) << LEVEL_SHIFT)
  );
}

/** What a transition is: rights before and after, whether the frame stayed; 0 where nothing changed. */
const CHANGED = 1;
const SAME_FRAME = 2;
const FROM_SHIFT = 2;
const TO_SHIFT = 4;
const RIGHTS = ["none", "ro", "rw", "prot_none"] as const;

/** Writes recorded transitions, spread over the arena, into `transitions`. */
export function recordedTransitions(runs: readonly QemuTransition[], transitions: Int32Array): void {
  transitions.fill(0);
  for (const { page, n, from, to, samePfn } of runs) {
    const code =
      CHANGED | (samePfn ? SAME_FRAME : 0) | (RIGHTS.indexOf(from) << FROM_SHIFT) | (RIGHTS.indexOf(to) << TO_SHIFT);
    transitions.fill(code, Math.max(0, page), Math.min(transitions.length, page + n));
  }
}

/** A transition as records write it: `ro->rw`, with `=` when the frame stayed. */
export function transitionText(code: number): string {
  if (code === 0) return "";
  return `${RIGHTS[(code >> FROM_SHIFT) & 3]}->${RIGHTS[(code >> TO_SHIFT) & 3]}${(code & SAME_FRAME) === 0 ? "" : "="}`;
}

function rightOf(bits: number): number {
  if ((bits & PRESENT) === 0) return 0;
  return (bits & PROT_NONE) !== 0 ? 3 : (bits & HW_WRITE) !== 0 ? 2 : 1;
}

/**
 * Writes into `transitions` what changed between two snapshots.
 *
 * @param before,now frame numbers of the pages, the same frame having the same number in both; 0 is no frame
 */
export function transitionsBetween(
  before: { readonly bits: Int32Array; readonly pfns: Int32Array },
  now: { readonly bits: Int32Array; readonly pfns: Int32Array },
  transitions: Int32Array,
): void {
  transitions.fill(0);
  for (let page = 0; page < transitions.length; page++) {
    const a = before.bits[page]!;
    const b = now.bits[page]!;
    if (((a | b) & PRESENT) === 0) continue;
    const from = rightOf(a);
    const to = rightOf(b);
    const sameFrame = from !== 0 && to !== 0 && before.pfns[page] === now.pfns[page];
    if (from === to && sameFrame && ((a ^ b) & LEVEL_MASK) === 0) continue;
    transitions[page] = CHANGED | (sameFrame ? SAME_FRAME : 0) | (from << FROM_SHIFT) | (to << TO_SHIFT);
  }
}

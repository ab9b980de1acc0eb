/** Which frame each page of an arena shows: a number that stands for the frame, 0 for none. */
export interface FrameMap {
  readonly frames: Int32Array;
  /** How often each page's frame is mapped anywhere; below 1 where that is not known. */
  readonly mapCounts: Int32Array;
}

/** What {@link compareIdentity} found. */
export interface IdentityResult {
  /** Pages whose frame is another one than the record says. */
  readonly differ: readonly number[];
  /** Pages that are not compared: the allocator handed a frame out again that the same operation had freed. */
  readonly leftOut: readonly number[];
}

/** Frame numbers mean nothing across machines. What means something: which pages share a frame, and where a frame was before. */
interface Relations {
  /** First page that shows each frame now. */
  readonly now: ReadonlyMap<number, number>;
  /** First page that showed each frame before the operation. */
  readonly before: ReadonlyMap<number, number>;
}

const NOTHING: IdentityResult = { differ: [], leftOut: [] };
/** A frame that no page showed before. */
export const NEW = -1;

/**
 * Compares the identity of frames before and after an operation on two machines: two pages show the same frame on one
 * exactly if they do on the other, and a frame came from the same place. Whether a frame that an operation frees is
 * the one that it then allocates is the allocator's business and left out.
 *
 * @param bothFreed given the pages that showed the two frames before, or {@link NEW}: true when the operation freed what they
 *   showed, each on its own machine. Which of the freed frames is handed out again is the allocator's business too
 */
export function compareIdentity(
  expected: { readonly before: FrameMap; readonly now: FrameMap },
  got: { readonly before: FrameMap; readonly now: FrameMap },
  bothFreed: (from: number, gotFrom: number) => boolean = () => false,
): IdentityResult {
  const count = Math.min(expected.now.frames.length, got.now.frames.length);
  if (same(expected.now.frames, got.now.frames) && same(expected.before.frames, got.before.frames)) return NOTHING;
  const left = relationsOf(expected.before, expected.now);
  const right = relationsOf(got.before, got.now);
  const differ: number[] = [];
  const leftOut: number[] = [];
  for (let page = 0; page < count; page++) {
    const a = expected.now.frames[page]!;
    const b = got.now.frames[page]!;
    if (a === 0 && b === 0) continue;
    if (a === 0 || b === 0 || left.now.get(a) !== right.now.get(b)) {
      differ.push(page);
      continue;
    }
    const from = left.before.get(a) ?? NEW;
    const gotFrom = right.before.get(b) ?? NEW;
    if (from === gotFrom) continue;
    const reused =
      (from === NEW && freed(expected.before, left, gotFrom)) ||
      (gotFrom === NEW && freed(got.before, right, from)) ||
      bothFreed(from, gotFrom);
    (reused ? leftOut : differ).push(page);
  }
  return { differ, leftOut };
}

function relationsOf(before: FrameMap, now: FrameMap): Relations {
  return { now: firstPages(now.frames), before: firstPages(before.frames) };
}

function firstPages(frames: Int32Array): Map<number, number> {
  const first = new Map<number, number>();
  for (let page = 0; page < frames.length; page++) {
    const frame = frames[page]!;
    if (frame !== 0 && !first.has(frame)) first.set(frame, page);
  }
  return first;
}

/** The frame that `page` showed before was mapped there only, and is mapped no more. */
function freed(before: FrameMap, relations: Relations, page: number): boolean {
  const frame = before.frames[page]!;
  return frame !== 0 && before.mapCounts[page]! <= 1 && !relations.now.has(frame);
}

function same(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Small numbers for frames, given out in page order; a frame keeps its number while two snapshots in a row show it. */
export class FrameNumbers {
  readonly #numbers = new Map<number, { number: number; seen: number }>();
  #next = 1;
  #snapshot = 0;

  /** Starts a snapshot. */
  begin(): void {
    this.#snapshot++;
  }

  /** The number of a frame that the snapshot shows. */
  of(frame: number): number {
    let entry = this.#numbers.get(frame);
    if (entry === undefined) {
      entry = { number: this.#next++, seen: this.#snapshot };
      this.#numbers.set(frame, entry);
    } else {
      if (entry.seen < this.#snapshot - 1) entry.number = this.#next++;
      entry.seen = this.#snapshot;
    }
    return entry.number;
  }
}

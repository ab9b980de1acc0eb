import type { FrameMap } from "../identity.js";

const HUGE_PAGES = 512;

/** What a record and the model show, before an operation and after it. */
export interface Snapshots {
  readonly before: FrameMap;
  readonly now: FrameMap;
}

/**
 * Frames with two numbers. The recorder takes the next number for a frame that lies right behind the frame of the page before, when
 * that page has the number given last, and does not ask whether the frame has a number already (`pages()` in mmrun.c).
 */
export class TwiceNumbered {
  readonly #firstNumbers = new Map<number, number>();

  /** Replaces second numbers by first ones. */
  settle({ frames }: FrameMap): void {
    if (this.#firstNumbers.size === 0) return;
    for (let page = 0; page < frames.length; page++)
      frames[page] = this.#firstNumbers.get(frames[page]!) ?? frames[page]!;
  }

  /**
   * Finds out whether the recorder may have numbered `page` in that way. It may when the frame is mapped more than once, nothing shows
   * the number earlier, and the page before has the number below; the frame's first number is then that of a page with which the
   * model says it shares the frame.
   *
   * @returns true when a second number was found
   */
  learn(page: number, expected: Snapshots, got: Snapshots): boolean {
    const number = expected.now.frames[page]!;
    if (number === 0 || page % HUGE_PAGES === 0 || expected.now.frames[page - 1] !== number - 1) return false;
    if (expected.now.mapCounts[page]! < 2) return false;
    if (expected.before.frames.some((other) => other >= number)) return false;
    const frame = got.now.frames[page]!;
    const first = numberOf(frame, got.before, expected.before, page) || numberOf(frame, got.now, expected.now, page);
    if (first === 0 || first === number) return false;
    this.#firstNumbers.set(number, first);
    return true;
  }
}

/** The recorded number of another page that shows the model's `frame`, or 0. */
function numberOf(frame: number, model: FrameMap, record: FrameMap, page: number): number {
  const other = model.frames.findIndex((shown, at) => shown === frame && at !== page);
  return frame === 0 || other < 0 ? 0 : record.frames[other]!;
}

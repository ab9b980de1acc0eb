import { type PageRun, SLACK_PAGES } from "@mmu-notifier/script";

/** Flags that the recording machine sets from per-CPU batches and writeback: not a function of the script. */
const INDETERMINATE = /[dsU]/g;

const texts = new Map<string, string>();

/** A page's flags without those that are not compared. */
function compared(flags: string): string {
  let text = texts.get(flags);
  if (text === undefined) {
    text = flags.replaceAll(INDETERMINATE, "");
    texts.set(flags, text);
  }
  return text;
}

/** A snapshot's runs of pages, spread over the arena. */
export class PageFacts {
  readonly flags: string[];
  readonly frames: Int32Array;
  readonly mapCounts: Int32Array;

  constructor(arena: number, runs: readonly PageRun[]) {
    const count = arena + SLACK_PAGES;
    this.flags = Array.from({ length: count }, () => "");
    this.frames = new Int32Array(count);
    this.mapCounts = new Int32Array(count).fill(-1);
    for (const [first, pages, flags, id, mapCount] of runs) {
      const text = compared(flags);
      for (let i = 0; i < pages && first + i < count; i++) {
        this.flags[first + i] = text;
        this.frames[first + i] = id === 0 ? 0 : id + i;
        this.mapCounts[first + i] = mapCount;
      }
    }
  }
}

/** True when two lists of runs are word for word the same. */
export function sameRuns(a: readonly PageRun[], b: readonly PageRun[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const [first, pages, flags, id, mapCount] = a[i]!;
    const run = b[i]!;
    if (run[0] !== first || run[1] !== pages || run[3] !== id || run[4] !== mapCount) return false;
    if (run[2] !== flags && compared(run[2]) !== compared(flags)) return false;
  }
  return true;
}

import type { PageRun } from "@mmu-notifier/script";
import { FrameNumbers } from "../identity.js";
import type { RawPages } from "./raw-record.js";

/** Bits of /proc/PID/pagemap above 55, which the model's snapshots show; soft-dirty (55) they do not. */
const PAGEMAP = { exclusive: 1 << 1, uffdWp: 1 << 2, guard: 1 << 3, file: 1 << 6, swap: 1 << 7, present: 1 << 8 };
/** PAGE_IS_PFNZERO and PAGE_IS_HUGE of PAGEMAP_SCAN. */
const ZERO = 1 << 5;
const HUGE = 1 << 6;
/** Bits of /proc/kpageflags. */
const KPF = { dirty: 1 << 4, swapcache: 1 << 13, unevictable: 1 << 18, ksm: 1 << 21, thp: 1 << 22 };

/** Turns what pagemap, PAGEMAP_SCAN, kpageflags and kpagecount say into the runs of a record, snapshot after snapshot. */
export class PageRuns {
  readonly #frames = new FrameNumbers();

  take(raw: readonly RawPages[]): readonly PageRun[] {
    this.#frames.begin();
    const runs: PageRun[] = [];
    for (const [first, pages, pagemap, categories, kpageflags, pfn, mapcount] of raw) {
      const text = flagsOf(pagemap, categories, kpageflags);
      const present = (pagemap & PAGEMAP.present) !== 0;
      const shown = present && (categories & ZERO) === 0;
      if (!shown) append(runs, [first, pages, text, 0, present ? 0 : -1]);
      else for (let i = 0; i < pages; i++) append(runs, [first + i, 1, text, this.#frames.of(pfn + i), mapcount]);
    }
    return runs;
  }
}

/** Adds a run, to the last one if it goes on with it. */
function append(runs: PageRun[], run: PageRun): void {
  const last = runs.at(-1);
  const [first, pages, text, id, mapcount] = run;
  const follows =
    last !== undefined &&
    last[0] + last[1] === first &&
    last[2] === text &&
    last[4] === mapcount &&
    id === (last[3] === 0 ? 0 : last[3] + last[1]);
  if (follows) runs[runs.length - 1] = [last[0], last[1] + pages, text, last[3], mapcount];
  else runs.push(run);
}

function flagsOf(pagemap: number, categories: number, kpageflags: number): string {
  const present = (pagemap & PAGEMAP.present) !== 0;
  const file = (pagemap & PAGEMAP.file) !== 0;
  const shown = present && (categories & ZERO) === 0;
  return [
    present ? "P" : "",
    (pagemap & PAGEMAP.swap) !== 0 ? "S" : "",
    file ? "F" : "",
    (pagemap & PAGEMAP.exclusive) !== 0 ? "X" : "",
    (pagemap & PAGEMAP.uffdWp) !== 0 ? "W" : "",
    (pagemap & PAGEMAP.guard) !== 0 ? "G" : "",
    (categories & HUGE) !== 0 ? "H" : "",
    (categories & ZERO) !== 0 ? "Z" : "",
    shown ? frameFlags(kpageflags, file) : "",
  ].join("");
}

function frameFlags(kpageflags: number, file: boolean): string {
  return [
    (kpageflags & KPF.ksm) !== 0 ? "K" : "",
    (kpageflags & KPF.thp) !== 0 ? "T" : "",
    (kpageflags & KPF.unevictable) !== 0 ? "U" : "",
    (kpageflags & KPF.swapcache) !== 0 ? "s" : "",
    file && (kpageflags & KPF.dirty) !== 0 ? "d" : "",
  ].join("");
}

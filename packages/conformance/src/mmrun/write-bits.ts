import { type OpRecord, type PageRun, parseScripts } from "@mmu-notifier/script";
import type { ProbeCase } from "../corpus.js";
import { describe, type Outcome } from "../divergence.js";
import type { CaseContext } from "../run-options.js";
import { recordedSignals } from "./recorded-signals.js";
import { mmrunSession } from "./run-mmrun.js";

/**
 * What a store to a page came to: `w` the entry lets it through, `r` a write-protection fault resolves it, `R` it ends in a signal
 * although a page is present, `n` and `N` the same two for a page that is not.
 */
export type WriteClass = "w" | "r" | "R" | "n" | "N";

/** `[first page, pages, class]`. */
export type WriteRun = readonly [first: number, pages: number, kind: WriteClass];

const HUGE_PAGES = 512;

/**
 * Runs a script and, after each operation, looks for the hidden write bit of every page: a sweep of stores over the whole
 * arena, whose traces are then undone by putting the machine's memory back.
 */
export function* runProbes({ name, arena, records }: ProbeCase, context: CaseContext): Generator<Outcome> {
  const ops = records.map(({ op }) => op);
  const [script] = parseScripts([`== ${name} arena ${arena}`, ...ops, `writer 0 ${arena}`, ""].join("\n"), {
    file: name,
  });
  const session = mmrunSession(script!, context);
  const sweep = script!.statements.at(-1)!;
  const { memory } = session.machine;
  let error: string | undefined;
  try {
    for (const [step, { w: expected }] of records.entries()) {
      let got: readonly WriteRun[] | undefined;
      if (error === undefined) {
        try {
          const { pg } = session.run(script!.statements[step]!);
          const saved = memory.save();
          got = writeClasses(arena, pg, session.run(sweep));
          memory.restore(saved);
        } catch (thrown) {
          error = describe(thrown);
        }
      }
      const equal = context.counts.count("write-bits", got !== undefined && sameClasses(expected, got));
      if (equal) yield undefined;
      else {
        const diffs = [{ field: "write-bits", expected, got }];
        yield { script: name, step, ops: ops.slice(0, step + 1), diffs, ...(error === undefined ? {} : { error }) };
      }
    }
  } finally {
    session.close();
  }
}

/** What a sweep of stores says about each page, given the pages before it. */
function writeClasses(arena: number, pages: readonly PageRun[], sweep: OpRecord): readonly WriteRun[] {
  const flags = Array.from({ length: arena }, () => "");
  for (const [first, count, text] of pages)
    for (let i = first; i < Math.min(arena, first + count); i++) flags[i] = text;
  const faulted = new Set<number>();
  for (const event of sweep.ev) if (event[0] === "F" && event.length === 3) faulted.add(event[1]);
  const signalled = new Set(recordedSignals(sweep.sigs)?.map(([page]) => page));
  const classes = flags.map((text, page): WriteClass => {
    if (!text.includes("P")) return signalled.has(page) ? "N" : "n";
    return signalled.has(page) ? "R" : faulted.has(page) ? "r" : "w";
  });
  spreadHuge(classes, flags);
  return runsOf(classes);
}

/** One entry maps a huge page: its first fault decides for the whole block. */
function spreadHuge(classes: WriteClass[], flags: readonly string[]): void {
  for (let block = 0; block < classes.length; block += HUGE_PAGES) {
    const huge: number[] = [];
    for (let page = block; page < Math.min(block + HUGE_PAGES, classes.length); page++) {
      if (flags[page]!.includes("H") && flags[page]!.includes("P")) huge.push(page);
    }
    const kind = huge.some((page) => classes[page] === "R")
      ? "R"
      : huge.some((page) => classes[page] === "r")
        ? "r"
        : "w";
    if (kind !== "w") for (const page of huge) classes[page] = kind;
  }
}

function runsOf(classes: readonly WriteClass[]): readonly WriteRun[] {
  const runs: [number, number, WriteClass][] = [];
  for (const [page, kind] of classes.entries()) {
    const last = runs.at(-1);
    if (last !== undefined && last[2] === kind) last[1]++;
    else runs.push([page, 1, kind]);
  }
  return runs;
}

function sameClasses(a: readonly WriteRun[], b: readonly WriteRun[]): boolean {
  return (
    a.length === b.length &&
    a.every(([first, pages, kind], i) => first === b[i]![0] && pages === b[i]![1] && kind === b[i]![2])
  );
}

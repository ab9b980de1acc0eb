import type { EventRecord, OpRecord, PageRun } from "@mmu-notifier/script";
import { type FieldCounts, type FieldDiff, sameJson } from "../field-diff.js";
import { compareIdentity } from "../identity.js";
import type { LeftOut } from "../left-out.js";
import { PageFacts, sameRuns } from "./page-facts.js";
import { recordedSignals } from "./recorded-signals.js";

/** Reason 3 of tlb_flush: this mm's own flush. Other reasons are context switches and other CPUs. */
const OWN_FLUSH = 3;
/** Ops in which another CPU or a context switch flushes too. */
const FLUSHES_ELSEWHERE = /^(ksmrun|exit)\b/;

/**
 * Compares the operations of one script with their records, field by field, in order.
 *
 * Left out, as the recording's notes say: ranges outside the arena, flags d, s and U of a page, TLB flushes for other
 * reasons than the mm's own, and the identity of frames that an operation freed and allocated again.
 */
export class MmrunComparison {
  readonly #arena: number;
  readonly #counts: FieldCounts;
  readonly #leftOut: LeftOut;
  #before: { readonly expected: readonly PageRun[]; readonly got: readonly PageRun[] } = { expected: [], got: [] };
  #diffs: FieldDiff[] = [];

  constructor(arena: number, counts: FieldCounts, leftOut: LeftOut) {
    this.#arena = arena;
    this.#counts = counts;
    this.#leftOut = leftOut;
  }

  /** The fields in which the next operation differs. */
  compare(expected: OpRecord, got: OpRecord): readonly FieldDiff[] {
    this.#diffs = [];
    if ("outN" in expected) this.#leftOut.add("notifier calls outside the arena");
    this.#field("result", resultOf(expected), resultOf(got));
    this.#field("signal", signalOf(expected), signalOf(got));
    this.#field("vmas", expected.vma, got.vma);
    this.#pages(expected.pg, got.pg);
    this.#events(expected.ev, got.ev, expected.op);
    this.#before = { expected: expected.pg, got: got.pg };
    return this.#diffs;
  }

  #field(name: string, expected: unknown, got: unknown): void {
    if (!this.#counts.count(name, sameJson(expected, got))) this.#diffs.push({ field: name, expected, got });
  }

  #events(expected: readonly EventRecord[], got: readonly EventRecord[], op: string): void {
    this.#field("faults", ofKinds(expected, "F", "FK"), ofKinds(got, "F", "FK"));
    this.#field("notifier", ofKinds(expected, "N"), ofKinds(got, "N"));
    this.#field("order", orderOf(expected), orderOf(got));
    this.#field("aging", ofKinds(expected, "A", "Y"), ofKinds(got, "A", "Y"));
    if (FLUSHES_ELSEWHERE.test(op)) this.#leftOut.add("TLB flushes of operations that other CPUs take part in");
    else this.#field("flushes", flushesOf(expected, this.#leftOut), flushesOf(got));
  }

  #pages(expected: readonly PageRun[], got: readonly PageRun[]): void {
    const { expected: expectedBefore, got: gotBefore } = this.#before;
    if (sameRuns(expected, got) && sameRuns(expectedBefore, gotBefore)) {
      for (const name of ["pages", "identity", "mapcount"]) this.#counts.count(name, true);
      return;
    }
    const left = new PageFacts(this.#arena, expected);
    const right = new PageFacts(this.#arena, got);
    this.#column("pages", left.flags, right.flags);
    const { differ, leftOut } = compareIdentity(
      { before: new PageFacts(this.#arena, expectedBefore), now: left },
      { before: new PageFacts(this.#arena, gotBefore), now: right },
    );
    if (leftOut.length > 0) this.#leftOut.add("identity of frames that an operation freed and allocated again");
    if (!this.#counts.count("identity", differ.length === 0)) {
      this.#diffs.push({
        field: "identity",
        expected: pick(differ, left.frames),
        got: pick(differ, right.frames),
      });
    }
    this.#column("mapcount", left.mapCounts, right.mapCounts);
  }

  #column(name: string, expected: ArrayLike<string | number>, got: ArrayLike<string | number>): void {
    const pages: number[] = [];
    for (let page = 0; page < expected.length; page++) if (expected[page] !== got[page]) pages.push(page);
    if (this.#counts.count(name, pages.length === 0)) return;
    this.#diffs.push({ field: name, expected: pick(pages, expected), got: pick(pages, got) });
  }
}

/** Runs [first page, pages, value] of the pages listed. */
function pick(
  pages: readonly number[],
  values: ArrayLike<string | number>,
): (readonly [number, number, string | number])[] {
  const runs: [number, number, string | number][] = [];
  for (const page of pages) {
    const value = values[page]!;
    const last = runs.at(-1);
    if (last !== undefined && last[2] === value && last[0] + last[1] === page) last[1]++;
    else runs.push([page, 1, value]);
  }
  return runs;
}

function resultOf({ ret, err, val, sum }: OpRecord): unknown {
  return { ret, err, val, sum };
}

function signalOf({ sig, code, at, sigs }: OpRecord): unknown {
  return { sig, code, at, sigs: recordedSignals(sigs) };
}

function ofKinds(events: readonly EventRecord[], ...kinds: readonly string[]): readonly EventRecord[] {
  return events.filter(([kind]) => kinds.includes(kind));
}

function flushesOf(events: readonly EventRecord[], leftOut?: LeftOut): readonly EventRecord[] {
  return events.filter((event) => {
    if (event[0] !== "T") return false;
    if (event[2] !== OWN_FLUSH) leftOut?.add("TLB flushes by other CPUs and context switches");
    return event[2] === OWN_FLUSH;
  });
}

/** Faults and notifier calls in one list: what came before what. */
function orderOf(events: readonly EventRecord[]): unknown {
  return events.filter(([kind]) => kind !== "T").map(([kind, at]) => [kind, at]);
}

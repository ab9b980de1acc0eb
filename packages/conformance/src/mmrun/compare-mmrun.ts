import type { EventRecord, OpRecord, PageRun } from "@mmu-notifier/script";
import { type FieldCounts, type FieldDiff, sameJson } from "../field-diff.js";
import { compareIdentity, type IdentityResult, NEW } from "../identity.js";
import type { LeftOut } from "../left-out.js";
import { PageFacts, sameRuns } from "./page-facts.js";
import { recordedSignals } from "./recorded-signals.js";

/** Reason 3 of tlb_flush: this mm's own flush. Other reasons are context switches and other CPUs. */
const OWN_FLUSH = 3;
/** Ops in which another CPU or a context switch flushes too. */
const FLUSHES_ELSEWHERE = /^(ksmrun|exit)\b/;
/** What is compared of events, flushes aside. */
const EVENT_FIELDS = ["faults", "notifier", "order", "aging"];
/** Moves whose destination the kernel chooses when the script does not. */
const PLACED_BY_KERNEL = /^m?remap\b/;
/** Ops that take away what was there: a page that shows a frame again got it anew. */
const REPLACES = /^(mapx?|rfp)\b/;
/** Ops that show a frame at another page without freeing it. */
const MOVES_FRAMES = /^(m?remap|uffdmove)\b/;

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
    this.#field("result", sameResult(expected, got), resultOf, expected, got);
    this.#field("signal", sameSignal(expected, got), signalOf, expected, got);
    this.#field("vmas", sameJson(expected.vma, got.vma), vmasOf, expected, got);
    this.#pages(expected.pg, got.pg, expected.op);
    this.#events(expected, got);
    this.#before = { expected: expected.pg, got: got.pg };
    return this.#diffs;
  }

  /** Counts a field; what it holds is only looked up for a difference. */
  #field(
    name: string,
    equal: boolean,
    valueOf: (record: OpRecord) => unknown,
    expected: OpRecord,
    got: OpRecord,
  ): void {
    if (!this.#counts.count(name, equal))
      this.#diffs.push({ field: name, expected: valueOf(expected), got: valueOf(got) });
  }

  #events(expected: OpRecord, got: OpRecord): void {
    const flushes = this.#comparesFlushes(expected);
    if (sameEvents(expected.ev, got.ev)) {
      for (const name of EVENT_FIELDS) this.#counts.count(name, true);
      if (flushes) this.#counts.count("flushes", true);
      return;
    }
    this.#listed("faults", isFault, expected, got);
    this.#listed("notifier", isStart, expected, got);
    this.#field("order", sameOrder(expected.ev, got.ev), orderOf, expected, got);
    this.#listed("aging", isAging, expected, got);
    if (flushes) this.#listed("flushes", isOwnFlush, expected, got);
  }

  /** False where flushes are not a function of the script. */
  #comparesFlushes(expected: OpRecord): boolean {
    if (FLUSHES_ELSEWHERE.test(expected.op)) {
      this.#leftOut.add("TLB flushes of operations that other CPUs take part in");
      return false;
    }
    if (expected.ret === "out" && PLACED_BY_KERNEL.test(expected.op)) {
      this.#leftOut.add("TLB flushes of moves to a random place: they go as far as a page table there");
      return false;
    }
    for (const event of expected.ev)
      if (event[0] === "T" && event[2] !== OWN_FLUSH)
        this.#leftOut.add("TLB flushes by other CPUs and context switches");
    return true;
  }

  #listed(name: string, isListed: (event: EventRecord) => boolean, expected: OpRecord, got: OpRecord): void {
    const equal = sameListed(expected.ev, got.ev, isListed, sameEvent);
    this.#field(name, equal, ({ ev }) => ev.filter(isListed), expected, got);
  }

  #pages(expected: readonly PageRun[], got: readonly PageRun[], op: string): void {
    const { expected: expectedBefore, got: gotBefore } = this.#before;
    if (sameRuns(expected, got) && sameRuns(expectedBefore, gotBefore)) {
      for (const name of ["pages", "identity", "mapcount"]) this.#counts.count(name, true);
      return;
    }
    const left = new PageFacts(this.#arena, expected);
    const right = new PageFacts(this.#arena, got);
    this.#column("pages", left.flags, right.flags);
    const { differ, leftOut } = this.#identity(
      { before: new PageFacts(this.#arena, expectedBefore), now: left },
      { before: new PageFacts(this.#arena, gotBefore), now: right },
      op,
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

  #identity(
    expected: { readonly before: PageFacts; readonly now: PageFacts },
    got: { readonly before: PageFacts; readonly now: PageFacts },
    op: string,
  ): IdentityResult {
    const moves = MOVES_FRAMES.test(op);
    const replaces = REPLACES.test(op);
    // Only anonymous memory is freed for certain when an entry goes.
    const bothFreed = (from: number, gotFrom: number): boolean =>
      !moves && freedAnon(expected, from, replaces) && freedAnon(got, gotFrom, replaces);
    return compareIdentity(expected, got, bothFreed);
  }

  #column(name: string, expected: ArrayLike<string | number>, got: ArrayLike<string | number>): void {
    const pages: number[] = [];
    for (let page = 0; page < expected.length; page++) if (expected[page] !== got[page]) pages.push(page);
    if (this.#counts.count(name, pages.length === 0)) return;
    this.#diffs.push({ field: name, expected: pick(pages, expected), got: pick(pages, got) });
  }
}

/** The page showed anonymous memory that nobody else mapped, and shows it no more; or {@link NEW}. */
function freedAnon(
  { before, now }: { readonly before: PageFacts; readonly now: PageFacts },
  page: number,
  replaces: boolean,
): boolean {
  if (page === NEW) return true;
  const flags = before.flags[page]!;
  return (
    flags.includes("P") &&
    !flags.includes("F") &&
    before.mapCounts[page] === 1 &&
    (replaces || before.frames[page] !== now.frames[page])
  );
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

function sameResult(a: OpRecord, b: OpRecord): boolean {
  return a.ret === b.ret && a.err === b.err && a.val === b.val && a.sum === b.sum;
}

function resultOf({ ret, err, val, sum }: OpRecord): unknown {
  return { ret, err, val, sum };
}

function sameSignal(a: OpRecord, b: OpRecord): boolean {
  if (a.sig !== b.sig || a.code !== b.code || a.at !== b.at) return false;
  return a.sigs === b.sigs || sameJson(recordedSignals(a.sigs), recordedSignals(b.sigs));
}

function signalOf({ sig, code, at, sigs }: OpRecord): unknown {
  return { sig, code, at, sigs: recordedSignals(sigs) };
}

function vmasOf({ vma }: OpRecord): unknown {
  return vma;
}

const isFault = ([kind]: EventRecord): boolean => kind === "F" || kind === "FK";
const isStart = ([kind]: EventRecord): boolean => kind === "N";
const isAging = ([kind]: EventRecord): boolean => kind === "A" || kind === "Y";
const isOwnFlush = (event: EventRecord): boolean => event[0] === "T" && event[2] === OWN_FLUSH;
const isNoFlush = ([kind]: EventRecord): boolean => kind !== "T";

/** True when two lists of events are word for word the same. */
function sameEvents(a: readonly EventRecord[], b: readonly EventRecord[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!sameEvent(a[i]!, b[i]!)) return false;
  return true;
}

function sameEvent(a: EventRecord, b: EventRecord): boolean {
  return a.length === b.length && a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** True when the events of both lists that are `listed` are the same, one by one. */
function sameListed(
  a: readonly EventRecord[],
  b: readonly EventRecord[],
  listed: (event: EventRecord) => boolean,
  same: (a: EventRecord, b: EventRecord) => boolean,
): boolean {
  for (let i = 0, j = 0; ; i++, j++) {
    while (i < a.length && !listed(a[i]!)) i++;
    while (j < b.length && !listed(b[j]!)) j++;
    if (i >= a.length || j >= b.length) return i >= a.length && j >= b.length;
    if (!same(a[i]!, b[j]!)) return false;
  }
}

/** Faults and notifier calls in one list: what came before what. */
function sameOrder(a: readonly EventRecord[], b: readonly EventRecord[]): boolean {
  return sameListed(a, b, isNoFlush, samePlace);
}

function samePlace(a: EventRecord, b: EventRecord): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function orderOf({ ev }: OpRecord): unknown {
  return ev.filter(isNoFlush).map(([kind, at]) => [kind, at]);
}

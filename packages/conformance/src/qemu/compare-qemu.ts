import { ARENA_REACH } from "@mmu-notifier/script";
import type { FieldCounts, FieldDiff } from "../field-diff.js";
import { compareIdentity } from "../identity.js";
import type { LeftOut } from "../left-out.js";
import {
  CONT,
  DIRTY,
  EXCLUSIVE,
  HW_WRITE,
  LEVEL_MASK,
  LEVEL_SHIFT,
  LEVELS,
  LISTED,
  MAY_WRITE,
  NO_MAP_COUNT,
  type PageFacts,
  PRESENT,
  PROT_NONE,
  SOFT_DIRTY,
  SPECIAL,
  SWAPPED,
  transitionText,
  UFFD_WP,
  YOUNG,
  ZERO_PAGE,
} from "./page-facts.js";
import type { ModelCalls } from "./model-calls.js";
import type { QemuCall, QemuRecord, QemuResult, QemuVma } from "./qemu-record.js";
import {
  callOf,
  callsIn,
  faultOf,
  nameOf,
  pteSetOf,
  sameCall,
  sameFault,
  sameName,
  samePteSet,
  sameVma,
  vmaOf,
} from "./record-lists.js";

/** One operation of the model in the terms of the records. */
export interface ModelOperation {
  readonly result: QemuResult;
  readonly calls: ModelCalls;
  readonly vmas: readonly QemuVma[];
}

/** The pages around an operation, recorded and of the model. */
export interface PagesAround {
  readonly expected: { readonly before: PageFacts; readonly now: PageFacts; readonly transitions: Int32Array };
  readonly got: { readonly before: PageFacts; readonly now: PageFacts; readonly transitions: Int32Array };
}

/** How often a daemon comes by, and which pages it takes, is not a function of the script. */
function isTimed({ op, line }: QemuRecord): boolean {
  return op === "spin" || (op === "sysfs" && line.includes("compact_memory"));
}

const RANGE_CALLS = new Set(["invalidate_range_start", "invalidate_range_end", "change_pte", "release"]);
const TLB_CALLS = new Set(["invalidate_range", "arch_invalidate_secondary_tlbs"]);
const AGING_CALLS = new Set(["clear_flush_young", "clear_young", "test_young"]);
const CALL_FIELDS: readonly (readonly [name: string, calls: ReadonlySet<string>])[] = [
  ["notifier", RANGE_CALLS],
  ["tlb-calls", TLB_CALLS],
  ["aging", AGING_CALLS],
];

/** Ops whose positive result is the number of a descriptor, or another number that says nothing of the memory. */
const NUMBER_IS_NO_RESULT = new Set([
  "ckvm",
  "kvmopen",
  "uffd",
  "uffdreg",
  "pin",
  "ksm",
  "memfd",
  "file",
  "hmemfd",
  "dax",
  "map",
  "fwrite",
  "clear_refs",
]);

/** Columns of the pages, by the bits that they are about. */
const PAGE_FIELDS: readonly (readonly [name: string, mask: number])[] = [
  ["present", LISTED | PRESENT | SWAPPED | PROT_NONE],
  ["level", LEVEL_MASK],
  ["hw-write", HW_WRITE],
  ["may-write", MAY_WRITE],
  ["dirty", DIRTY],
  ["young", YOUNG],
  ["exclusive", EXCLUSIVE],
  ["special", SPECIAL | ZERO_PAGE],
  ["uffd-wp", UFFD_WP],
  ["cont", CONT],
];

/**
 * Compares operations of one script with their records. Map counts, young and dirty bits and levels are fields of their own, so that
 * a report says where a difference lies.
 */
export class QemuComparison {
  readonly #counts: FieldCounts;
  readonly #leftOut: LeftOut;
  #diffs: FieldDiff[] = [];

  constructor(counts: FieldCounts, leftOut: LeftOut) {
    this.#counts = counts;
    this.#leftOut = leftOut;
  }

  /** The fields in which an operation differs. */
  compare(expected: QemuRecord, got: ModelOperation, pages: PagesAround): readonly FieldDiff[] {
    this.#diffs = [];
    if (isTimed(expected)) {
      this.#leftOut.add("operations whose effect depends on time: NUMA balancing, compaction");
      this.#result(expected, got.result);
      return this.#diffs;
    }
    this.#result(expected, got.result);
    if (!this.#counts.count("signal", sameSignal(expected, got.result)))
      this.#diffs.push({ field: "signal", expected: signalOf(expected), got: signalOf(got.result) });
    this.#calls(expected.notifier, got.calls.notifier);
    this.#list("faults", expected.faults, got.calls.faults, sameFault, faultOf);
    this.#list("pte-set", expected.pteSet, got.calls.pteSet, samePteSet, pteSetOf);
    this.#list("vmas", expected.vmas, got.vmas, sameVma, vmaOf);
    this.#pages(
      pages,
      expected.pages.some(({ softDirty }) => softDirty !== null),
    );
    return this.#diffs;
  }

  #result(expected: QemuRecord, got: QemuResult): void {
    const { op } = expected;
    const equal = errnoOf(expected) === errnoOf(got) && returnedBy(expected, op) === returnedBy(got, op);
    if (this.#counts.count("result", equal)) return;
    this.#diffs.push({ field: "result", expected: resultOf(expected, op), got: resultOf(got, op) });
  }

  /** Compares lists one by one; what they hold is only put into words for a difference. */
  #list<T>(
    name: string,
    expected: readonly T[],
    got: readonly T[],
    same: (a: T, b: T) => boolean,
    of: (value: T) => unknown,
  ): void {
    const equal = expected.length === got.length && expected.every((value, i) => same(value, got[i]!));
    if (!this.#counts.count(name, equal))
      this.#diffs.push({ field: name, expected: expected.map(of), got: got.map(of) });
  }

  #calls(expected: readonly QemuCall[], got: readonly QemuCall[]): void {
    for (const [name, wanted] of CALL_FIELDS) {
      this.#list(name, callsIn(expected, wanted), callsIn(got, wanted), sameCall, callOf);
    }
    this.#list("order", expected, got, sameName, nameOf);
  }

  #pages({ expected, got }: PagesAround, softDirty: boolean): void {
    this.#column("transitions", expected.transitions, got.transitions, transitionText);
    if (sameBits(expected.now.bits, got.now.bits, softDirty ? -1 : ~SOFT_DIRTY)) {
      for (const [name] of PAGE_FIELDS) this.#counts.count(name, true);
      if (softDirty) this.#counts.count("soft-dirty", true);
    } else this.#allBits(expected.now, got.now, softDirty);
    this.#mapCounts(expected.now, got.now);
    const { differ, leftOut } = compareIdentity(expected, got);
    if (leftOut.length > 0) this.#leftOut.add("identity of frames that an operation freed and allocated again");
    if (!this.#counts.count("identity", differ.length === 0)) {
      this.#diffs.push({
        field: "identity",
        expected: runs(differ, (page) => expected.now.frames[page]!),
        got: runs(differ, (page) => got.now.frames[page]!),
      });
    }
  }

  #allBits(expected: PageFacts, got: PageFacts, softDirty: boolean): void {
    for (const [name, mask] of PAGE_FIELDS) this.#bits(name, mask, expected, got);
    if (softDirty) this.#bits("soft-dirty", SOFT_DIRTY, expected, got);
  }

  #column(field: string, expected: Int32Array, got: Int32Array, text: (value: number) => unknown): void {
    const pages: number[] = [];
    for (let page = 0; page < expected.length; page++) if (expected[page] !== got[page]) pages.push(page);
    if (this.#counts.count(field, pages.length === 0)) return;
    this.#diffs.push({
      field,
      expected: runs(pages, (page) => text(expected[page]!)),
      got: runs(pages, (page) => text(got[page]!)),
    });
  }

  #bits(field: string, mask: number, expected: PageFacts, got: PageFacts): void {
    const pages: number[] = [];
    for (let page = 0; page < expected.bits.length; page++) {
      if (((expected.bits[page]! ^ got.bits[page]!) & mask) !== 0) pages.push(page);
    }
    if (this.#counts.count(field, pages.length === 0)) return;
    const text = (facts: PageFacts) => (page: number) => bitText(facts.bits[page]! & mask, mask);
    this.#diffs.push({ field, expected: runs(pages, text(expected)), got: runs(pages, text(got)) });
  }

  /** Pages whose record has no count (device memory) are not compared. */
  #mapCounts(expected: PageFacts, got: PageFacts): void {
    const pages: number[] = [];
    for (let page = 0; page < expected.mapCounts.length; page++) {
      if (expected.mapCounts[page] === NO_MAP_COUNT && (expected.bits[page]! & PRESENT) !== 0) continue;
      if (expected.mapCounts[page] !== got.mapCounts[page]) pages.push(page);
    }
    if (this.#counts.count("mapcount", pages.length === 0)) return;
    const value = (facts: PageFacts) => (page: number) => facts.mapCounts[page]!;
    this.#diffs.push({ field: "mapcount", expected: runs(pages, value(expected)), got: runs(pages, value(got)) });
  }
}

function sameBits(a: Int32Array, b: Int32Array, mask: number): boolean {
  for (let i = 0; i < a.length; i++) if (((a[i]! ^ b[i]!) & mask) !== 0) return false;
  return true;
}

const BIT_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [LISTED, "mapped"],
  [PRESENT, "present"],
  [SWAPPED, "swapped"],
  [PROT_NONE, "prot-none"],
  [SPECIAL, "special"],
  [ZERO_PAGE, "zero-page"],
];

function bitText(bits: number, mask: number): unknown {
  if (mask === LEVEL_MASK) return LEVELS[bits >> LEVEL_SHIFT];
  const named = BIT_NAMES.filter(([bit]) => (mask & bit) !== 0);
  return named.length === 0
    ? bits !== 0
    : named
        .filter(([bit]) => (bits & bit) !== 0)
        .map(([, name]) => name)
        .join(" ");
}

/** Runs [first page, pages, value] of the pages listed. */
function runs(
  pages: readonly number[],
  valueOf: (page: number) => unknown,
): readonly (readonly [number, number, unknown])[] {
  const found: [number, number, unknown][] = [];
  for (const page of pages) {
    const value = valueOf(page);
    const last = found.at(-1);
    if (last !== undefined && last[2] === value && last[0] + last[1] === page) last[1]++;
    else found.push([page, 1, value]);
  }
  return found;
}

/** Names of the same error number. */
const SAME_ERRNO: Readonly<Record<string, string>> = {
  ENOTSUP: "EOPNOTSUPP",
  EWOULDBLOCK: "EAGAIN",
  EDEADLOCK: "EDEADLK",
};

function errnoOf({ errno }: QemuResult): string | null {
  return errno === null ? null : (SAME_ERRNO[errno] ?? errno);
}

/** What is compared of the number that an operation returns; nothing of one that failed. */
function returnedBy({ ret, errno }: QemuResult, op: string): number | "outside" | undefined {
  if (errno !== null) return undefined;
  // An address that the kernel chose outside of the arena is not part of a record.
  if (op === "mremap" && (ret === null || ret < 0 || ret >= ARENA_REACH)) return "outside";
  return ret === null || (ret >= 0 && NUMBER_IS_NO_RESULT.has(op)) ? 0 : ret;
}

function resultOf(result: QemuResult, op: string): unknown {
  const errno = errnoOf(result);
  return errno === null ? { ret: returnedBy(result, op) } : { errno };
}

function sameSignal(a: QemuResult, b: QemuResult): boolean {
  return a.sig === b.sig && (a.sigCode ?? null) === (b.sigCode ?? null) && (a.sigPage ?? null) === (b.sigPage ?? null);
}

function signalOf({ sig, sigCode, sigPage }: QemuResult): unknown {
  return { sig, sigCode: sigCode ?? null, sigPage: sigPage ?? null };
}

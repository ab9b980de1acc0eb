import { describe, expect, it } from "vitest";
import { conform } from "../src/index.js";
import { fileOf, type Line, linesOf, textOf } from "./recorded.js";

/** The script of a corpus with one record changed: what the comparison finds. */
async function found(
  file: string,
  script: string,
  isIt: (line: Line) => boolean,
  change: (line: Line) => void,
): Promise<readonly { readonly at: unknown; readonly fields: readonly string[] }[]> {
  const lines = structuredClone(linesOf(file, script));
  const changed = lines.find(isIt)!;
  const before = JSON.stringify(changed);
  change(changed);
  expect(JSON.stringify(changed)).not.toBe(before);
  const { divergences, equal, ops } = await conform(fileOf(file.replace(/\.gz$/, ""), textOf(lines)));
  expect(ops - equal).toBe(divergences.length);
  return divergences.map(({ step, diffs }) => ({ at: step, fields: diffs.map(({ field }) => field) }));
}

describe("a changed record of the dialect with headers is the one divergence", () => {
  const FILE = "hand.jsonl.gz";
  const SCRIPT = "rorw-fork-parent-copies-child-reuses";

  it("is equal as it stands", async () => {
    const { equal, ops } = await conform(fileOf("hand.jsonl", textOf(linesOf(FILE, SCRIPT))));

    expect([equal, ops]).toEqual([9, 9]);
  });

  it.each<[what: string, step: number, change: Line, fields: readonly string[]]>([
    ["another result", 8, { ret: 1 }, ["result"]],
    ["an error", 8, { ret: undefined, err: "EFAULT" }, ["result"]],
    ["a signal", 8, { sig: "SEGV", code: 2, at: 2 }, ["signal"]],
    ["signals of a range", 1, { sigs: [[0, "BUS", 2]] }, ["signal"]],
    ["another VMA flag", 8, { vma: [[0, 4, "rw-p", 0, "anon", "mw ac lo"]] }, ["vmas"]],
    [
      "a VMA that is split",
      8,
      {
        vma: [
          [0, 2, "rw-p", 0, "anon", "mw ac"],
          [2, 4, "rw-p", 0, "anon", "mw ac"],
        ],
      },
      ["vmas"],
    ],
    [
      "another flag of a page",
      8,
      {
        pg: [
          [0, 1, "PXW", 5, 1],
          [1, 3, "PX", 2, 1],
        ],
      },
      ["pages"],
    ],
    [
      "another frame",
      8,
      {
        pg: [
          [0, 1, "PX", 2, 1],
          [1, 3, "PX", 2, 1],
        ],
      },
      ["identity"],
    ],
    [
      "another map count",
      8,
      {
        pg: [
          [0, 1, "PX", 5, 2],
          [1, 3, "PX", 2, 1],
        ],
      },
      ["mapcount"],
    ],
    ["another error code of a fault", 8, { ev: [["F", 2, 6]] }, ["faults"]],
    ["a fault by somebody else", 8, { ev: [["F", 2, 7, "c0"]] }, ["faults"]],
    [
      "another end of a notification",
      3,
      {
        ev: [
          ["F", 0, 7],
          ["N", 0, 2],
          ["T", 1, 3],
        ],
      },
      ["notifier"],
    ],
    [
      "a notification before the fault",
      3,
      {
        ev: [
          ["N", 0, 1],
          ["F", 0, 7],
          ["T", 1, 3],
        ],
      },
      ["order"],
    ],
    [
      "a notification too many",
      8,
      {
        ev: [
          ["F", 2, 7],
          ["N", 2, 3],
        ],
      },
      ["notifier", "order"],
    ],
    [
      "aging",
      8,
      {
        ev: [
          ["F", 2, 7],
          ["A", 2, 3],
        ],
      },
      ["order", "aging"],
    ],
    [
      "a flush of another size",
      3,
      {
        ev: [
          ["F", 0, 7],
          ["N", 0, 1],
          ["T", 2, 3],
        ],
      },
      ["flushes"],
    ],
  ])("%s", async (_, step, change, fields) => {
    const all = await found(
      FILE,
      SCRIPT,
      ({ i }) => i === step,
      (line) => Object.assign(line, change),
    );

    expect(all).toEqual([{ at: step, fields }]);
  });

  it.each<[what: string, change: Line, leftOut: string]>([
    [
      "the flags d, s and U",
      {
        pg: [
          [0, 1, "PXsUd", 5, 1],
          [1, 3, "PX", 2, 1],
        ],
      },
      "",
    ],
    ["notifications outside the arena", { outN: 3 }, "notifier calls outside the arena"],
    [
      "flushes for other reasons",
      {
        ev: [
          ["F", 2, 7],
          ["T", -1, 0],
        ],
      },
      "TLB flushes by other CPUs and context switches",
    ],
  ])("%s are left out", async (_, change, leftOut) => {
    const lines = structuredClone(linesOf(FILE, SCRIPT));
    Object.assign(
      lines.find(({ i }) => i === 8)!,
      change,
    );

    const report = await conform(fileOf("hand.jsonl", textOf(lines)));

    expect(report.divergences).toEqual([]);
    if (leftOut !== "") expect(report.leftOut).toHaveProperty([leftOut]);
  });
});

describe("a changed write bit is the one divergence", () => {
  it("of the probes after an operation", async () => {
    const all = await found(
      "small-slice.W.jsonl.gz",
      "rmix-0",
      ({ i }) => i === 2,
      (line) => {
        line["w"] = [
          [0, 28, "N"],
          [28, 4, "w"],
        ];
      },
    );

    expect(all).toEqual([{ at: 2, fields: ["write-bits"] }]);
  });
});

describe("a changed record of the dialect with cases is the one divergence", () => {
  const SCRIPT = "up-fork-reap-anon";
  const pages = (change: Line) => (line: Line) => Object.assign((line["pages"] as Line[])[0]!, change);
  const first = (list: string, change: Line) => (line: Line) => Object.assign((line[list] as Line[])[0]!, change);

  const FORK = 3;
  const WRITE = 5;
  it.each<[field: string, step: number, change: (line: Line) => void, file?: string]>([
    ["result", WRITE, (line) => Object.assign(line, { ret: -1, errno: "EFAULT" })],
    ["signal", WRITE, (line) => Object.assign(line, { sig: "SIGSEGV", sigCode: 2, sigPage: 0 })],
    ["notifier", FORK, first("notifier", { event: "CLEAR" })],
    ["notifier", FORK, first("notifier", { flags: 0 })],
    ["notifier", FORK, first("notifier", { end: 3 })],
    ["notifier", FORK, first("notifier", { mm: "mm1" })],
    ["tlb-calls", WRITE, first("notifier", { end: 2 })],
    ["order", FORK, (line) => (line["notifier"] as Line[]).unshift((line["notifier"] as Line[]).pop()!)],
    ["faults", WRITE, first("faults", { flags: ["WRITE"] })],
    ["faults", WRITE, first("faults", { result: ["RETRY"] })],
    ["pte-set", WRITE, first("pteSet", { changed: 0 })],
    ["pte-set", WRITE, first("pteSet", { newWrite: false })],
    ["vmas", WRITE, first("vmas", { prot: "r--" })],
    ["transitions", WRITE, first("transitions", { from: "none" })],
    ["transitions", WRITE, first("transitions", { samePfn: false })],
    ["present", WRITE, pages({ swapped: true })],
    ["level", WRITE, pages({ level: "pmd" })],
    ["hw-write", WRITE, pages({ hwWrite: false })],
    ["may-write", WRITE, pages({ mayWrite: false })],
    ["dirty", WRITE, pages({ dirty: false })],
    ["young", WRITE, pages({ young: false })],
    ["exclusive", WRITE, pages({ exclusive: false })],
    ["special", WRITE, pages({ special: true })],
    ["uffd-wp", WRITE, pages({ uffdWp: true })],
    ["cont", WRITE, pages({ cont: true })],
    ["mapcount", WRITE, pages({ mapCount: 2 })],
    ["soft-dirty", WRITE, pages({ softDirty: false }), "x86-6.12-hand.jsonl.gz"],
  ])("%s", async (field, step, change, file = "arm64-6.12-hand.jsonl.gz") => {
    const all = await found(file, SCRIPT, (line) => line["step"] === step, change);

    expect(all.map(({ fields }) => fields)).toEqual([[field]]);
  });

  it("aging, with the order that it stands in", async () => {
    const all = await found(
      "arm64-6.12-hand.jsonl.gz",
      SCRIPT,
      (line) => line["step"] === WRITE,
      (line) => (line["notifier"] as Line[]).push({ fn: "clear_flush_young", mm: "self", start: 0, end: 1 }),
    );

    expect(all.map(({ fields }) => fields)).toEqual([["aging", "order"]]);
  });

  it("identity: a frame that two pages share", async () => {
    const all = await found(
      "arm64-6.12-hand.jsonl.gz",
      SCRIPT,
      // The last step that shows all four pages in one run.
      ({ step }) => step === WRITE + 1,
      (line) => {
        const [page] = line["pages"] as Line[];
        (line["pages"] as Line[]).splice(
          0,
          1,
          { ...page, n: 1 },
          { ...page, va: 1, n: 1 },
          { ...page, va: 2, n: 2, pfnClass: 90 },
        );
      },
    );

    expect(all.flatMap(({ fields }) => fields)).toContain("identity");
  });
});

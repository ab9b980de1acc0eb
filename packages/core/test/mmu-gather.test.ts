import {
  type MmuGather,
  mkTable,
  PMD_LEVEL,
  PTE_AF,
  PTE_USER,
  PTE_VALID,
  ptePfn,
  tlbGatherMmu,
  tlbGatherMmuFullmm,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { TlbMachine } from "./tlb-machine.js";

const RO = PTE_VALID | PTE_USER | PTE_AF;

/** Gathers, does `work`, and finishes. */
function* gathering(machine: TlbMachine, work: (tlb: MmuGather) => Path | void, fullmm = false): Path {
  const { k, mm } = machine;
  const tlb = yield* fullmm ? tlbGatherMmuFullmm(k, 0, mm) : tlbGatherMmu(k, 0, mm);
  const path = work(tlb);
  if (path !== undefined) yield* path;
  yield* tlb.finish();
}

describe("a gather", () => {
  it.each([
    ["v6.4", "arm64", ["tlbi 4..9", "hook 4..9"]],
    ["v6.4", "x86-64", ["tlbi 4..9", "hook 4..9"]],
    ["v6.12", "arm64", ["tlbi 4..9", "hook 4..9"]],
    ["v6.12", "x86-64", ["tlbi 4..9", "hook 4..9"]],
    ["v6.12", "ia64", ["tlbi 4..9"]],
    ["v6.4", "ia64", ["tlbi 4..9", "hook 4..9"]],
  ])("on %s %s flushes all it collected at once: %j", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const flushes = machine.flushes(
      gathering(machine, (tlb) => {
        tlb.removeEntry(4);
        tlb.changePage(8);
      }),
    );
    expect(flushes).toEqual(expected);
  });

  it("that saw nothing flushes nothing", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    expect(machine.flushes(gathering(machine, () => {}))).toEqual([]);
  });

  it("frees pages only after the flush", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k } = machine;
    const pfn = k.pages.alloc();
    const timeline = machine.timeline(
      gathering(machine, (tlb) => {
        tlb.removeEntry(4);
        tlb.removePage(pfn);
      }),
    );
    expect(timeline).toEqual(["tlbi 4..5", "hook 4..5", "dsb ish", "tlb_batch_pages_flush"]);
    expect(k.pages.isLive(pfn)).toBe(false);
  });

  it("flushed early under the page-table lock keeps its pages", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k } = machine;
    const pfn = k.pages.alloc();
    const timeline = machine.timeline(
      gathering(machine, function* (tlb) {
        tlb.removeEntry(4);
        tlb.removePage(pfn);
        yield* tlb.flushTlbOnly();
        expect(k.pages.isLive(pfn)).toBe(true);
        expect(tlb.pending).toBe(false);
      }),
    );
    expect(timeline.filter((what) => what.startsWith("tlbi"))).toEqual(["tlbi 4..5"]);
    expect(k.pages.isLive(pfn)).toBe(false);
  });

  it("gives up as many references as it was told", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k } = machine;
    const pfn = k.pages.alloc();
    k.pages.get(pfn, 2);
    machine.run(gathering(machine, (tlb) => void tlb.removePage(pfn, 2)));
    expect(k.pages.refcount(pfn)).toBe(1);
  });

  it("says when its batches are full", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const pfn = machine.k.pages.alloc();
    machine.k.pages.get(pfn, 10_000);
    machine.run(
      gathering(machine, (tlb) => {
        expect(tlb.removePage(pfn, 9697)).toBe(false);
        expect(tlb.removePage(pfn)).toBe(true);
      }),
    );
  });
});

describe("huge entries in a gather", () => {
  it("are flushed with the stride of the smallest entry among them", () => {
    const machine = new TlbMachine("v6.12", "x86-64");
    const strides = (work: (tlb: MmuGather) => void): number[] => {
      machine.events.length = 0;
      machine.run(gathering(machine, work));
      return machine.events.flatMap((event) => (event.kind === "tlb-flush" ? [event.strideShift] : []));
    };
    expect(strides((tlb) => tlb.removeEntry(512, 512))).toEqual([21]);
    expect(
      strides((tlb) => {
        tlb.removeEntry(512, 512);
        tlb.removeEntry(3);
      }),
    ).toEqual([12]);
  });

  it("of 512 pages are one entry, below every ceiling", () => {
    const machine = new TlbMachine("v6.12", "x86-64");
    expect(machine.flushes(gathering(machine, (tlb) => tlb.changePage(512, 512)))).toEqual([
      "tlbi 512..1024",
      "hook 512..1024",
    ]);
  });
});

describe("freed page tables", () => {
  it.each([
    ["v6.4", "arm64", ["tlbi 0..512", "hook 0..1"]],
    ["v6.12", "arm64", ["tlbi 0..512", "hook 0..512"]],
    ["v6.12", "x86-64", ["tlbi 0..1", "hook 0..1"]],
  ])("on %s %s add one page at the table's address, rounded by arm64: %j", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const { k, pgd } = machine;
    const ptep = machine.map(0, RO);
    const table = k.tables.tableOf(ptep);
    k.tables.set(ptep, 0);
    const pmdp = k.tables.find(pgd, PMD_LEVEL, 0);
    expect(ptePfn(k.tables.get(pmdp))).toBe(table);
    k.tables.set(pmdp, 0);
    expect(k.tables.get(pmdp)).not.toBe(mkTable(table));
    expect(machine.flushes(gathering(machine, (tlb) => tlb.freeTable(table, 0, 0)))).toEqual(expected);
    expect(k.tables.segment.isLive(table)).toBe(false);
  });

  it("make the flush reach walk caches", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const lastLevelOnly: boolean[] = [];
    machine.k.dvm.join({ tlbi: (_, _start, _end, leaf) => lastLevelOnly.push(leaf), drained: () => true });
    machine.run(gathering(machine, (tlb) => tlb.removeEntry(4)));
    machine.run(gathering(machine, (tlb) => tlb.freeTable(0, 0, 0)));
    expect(lastLevelOnly).toEqual([true, false]);
  });
});

describe("the end of a VMA", () => {
  it.each([
    ["arm64", ["tlbi 4..5", "hook 4..5", "tlbi 8..9", "hook 8..9"]],
    ["x86-64", ["tlbi 4..9", "hook 4..9"]],
  ])("on %s: %j", (arch, expected) => {
    const machine = new TlbMachine("v6.12", arch);
    const flushes = machine.flushes(
      gathering(machine, function* (tlb) {
        tlb.removeEntry(4);
        yield* tlb.endVma();
        tlb.removeEntry(8);
        yield* tlb.endVma();
      }),
    );
    expect(flushes).toEqual(expected);
  });

  it("flushes everywhere after PFN mappings, which have no pages to keep alive", () => {
    const machine = new TlbMachine("v6.12", "x86-64");
    const flushes = machine.flushes(
      gathering(machine, function* (tlb) {
        tlb.removeEntry(4);
        yield* tlb.endVma(true);
        expect(tlb.pending).toBe(false);
      }),
    );
    expect(flushes).toEqual(["tlbi 4..5", "hook 4..5"]);
  });
});

describe("an exit's gather", () => {
  it.each([
    ["arm64", false, []],
    ["arm64", true, ["tlbi all", "hook all"]],
    ["x86-64", false, ["tlbi all", "hook all"]],
  ])("on %s with tables freed %s flushes %j", (arch, tables, expected) => {
    const machine = new TlbMachine("v6.12", arch);
    const flushes = machine.flushes(
      gathering(
        machine,
        (tlb) => {
          expect(tlb.fullmm).toBe(true);
          tlb.removeEntry(4);
          if (tables) tlb.freeTable(0, 0, 0);
        },
        true,
      ),
    );
    expect(flushes).toEqual(expected);
  });

  it("tells the old hook everything from the first cleared address on", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    expect(machine.flushes(gathering(machine, (tlb) => tlb.removeEntry(4), true))).toEqual(["hook 4.."]);
  });

  it("does not stop at the end of a VMA", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const flushes = machine.flushes(
      gathering(
        machine,
        function* (tlb) {
          tlb.removeEntry(4);
          yield* tlb.endVma();
          expect(tlb.pending).toBe(true);
        },
        true,
      ),
    );
    expect(flushes).toEqual([]);
  });
});

describe("two gathers of one mm at a time", () => {
  it("make the one that finishes first flush everything, since it may have skipped what the other cleared", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const flushes = machine.flushes(
      gathering(machine, function* (outer) {
        outer.removeEntry(4);
        yield* gathering(machine, (inner) => inner.removeEntry(8));
      }),
    );
    expect(flushes).toEqual(["tlbi all", "hook all", "tlbi 4..5", "hook 4..5"]);
    expect(k.mms.tlbFlushPending(mm)).toBe(0);
  });

  it("are seen by others until both are done", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    machine.run(
      gathering(machine, function* () {
        yield* gathering(machine, () => {
          expect(k.mms.tlbFlushPending(mm)).toBe(2);
        });
        expect(k.mms.tlbFlushPending(mm)).toBe(1);
      }),
    );
    expect(k.mms.tlbFlushPending(mm)).toBe(0);
  });
});

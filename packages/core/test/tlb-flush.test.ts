import {
  flushPmdTlbRange,
  flushTlbLocal,
  flushTlbMm,
  flushTlbPage,
  flushTlbPageNosync,
  flushTlbRange,
  hugePtepClearFlush,
  kernelProfile,
  mkPte,
  pmdpCollapseFlush,
  pmdpHugeClearFlush,
  pmdpHugeClearFlushNotify,
  pmdpInvalidate,
  pmdpInvalidateAd,
  PTE_AF,
  PTE_DIRTY,
  PTE_HUGE,
  PTE_NX,
  PTE_PROTNONE,
  PTE_RDONLY,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  pteHugeLeaf,
  ptepClearFlush,
  ptepClearFlushNotify,
  ptepClearFlushYoung,
  ptepClearFlushYoungNotify,
  ptepGetAndClear,
  ptepModifyProtCommit,
  ptepModifyProtStart,
  ptepSetWrprotect,
  pteNeedsFlush,
  setPteAt,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { TlbMachine } from "./tlb-machine.js";

const RW = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_DIRTY;
const RO = PTE_VALID | PTE_USER | PTE_AF;

describe("which flushes tell secondary TLBs", () => {
  it.each([
    ["v6.4", "arm64", false],
    ["v6.12", "arm64", true],
    ["v7.3", "arm64-hafdbs", true],
    ["v6.4", "x86-64", false],
    ["v6.12", "x86-64", true],
    ["v6.4", "riscv64", false],
    ["v6.12", "riscv64", true],
    ["v6.12", "sparc64", false],
    ["v6.12", "ia64", false],
  ])("%s %s: %s", (profile, arch, tells) => {
    const machine = new TlbMachine(profile, arch);
    const { k, mm } = machine;
    const told = (path: Path): boolean => machine.flushes(path).some((what) => what.startsWith("hook"));
    expect(told(flushTlbPage(k, 0, mm, 7))).toBe(tells);
    expect(told(flushTlbRange(k, 0, mm, 7, 9))).toBe(tells);
    expect(told(flushTlbMm(k, 0, mm))).toBe(tells);
    expect(told(flushTlbLocal(k, 0, mm, 7, 1, true))).toBe(tells);
    expect(told(flushTlbLocal(k, 0, mm, 7, 1, false))).toBe(false);
  });
});

describe("the order of issue, hook and completion", () => {
  it("on arm64 is TLBI, hook, DSB for a range, and DSB before the hook for everything", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    expect(machine.timeline(flushTlbRange(k, 0, mm, 4, 8))).toEqual(["tlbi 4..8", "hook 4..8", "dsb ish"]);
    expect(machine.timeline(flushTlbMm(k, 0, mm))).toEqual(["tlbi all", "dsb ish", "hook all"]);
  });

  it("on x86 the hook comes last", () => {
    const machine = new TlbMachine("v6.12", "x86-64");
    const { k, mm } = machine;
    expect(machine.timeline(flushTlbRange(k, 0, mm, 4, 8))).toEqual([
      "tlbi 4..8",
      "wait for flush interrupts",
      "hook 4..8",
    ]);
  });

  it("without waiting has no barrier", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    expect(machine.timeline(flushTlbPageNosync(machine.k, 0, machine.mm, 4))).toEqual(["tlbi 4..5", "hook 4..5"]);
  });

  it("another CPU may use a dropped translation until the barrier is passed", () => {
    const machine = new TlbMachine("v6.4", "arm64", { config: { cpus: 2, cpuTlbEntries: 4 } });
    const { k, mm } = machine;
    const asid = k.mms.asid(mm);
    for (const cpu of [0, 1]) k.tlbs.insert(cpu, asid, 4, mkPte(9, RW), 1);
    const path = flushTlbPage(k, 0, mm, 4);
    const issue = path.next();
    expect(issue.done).toBe(false);
    if (issue.done !== true) issue.value.run(0);
    expect([k.tlbs.lookup(0, asid, 4), k.tlbs.lookup(1, asid, 4)]).toEqual([0, mkPte(9, RW)]);
    const barrier = path.next(0);
    if (barrier.done !== true) barrier.value.run(0);
    expect(k.tlbs.lookup(1, asid, 4)).toBe(0);
  });

  it("a local flush leaves other CPUs alone", () => {
    const machine = new TlbMachine("v7.3", "arm64", { config: { cpus: 2, cpuTlbEntries: 4 } });
    const { k, mm } = machine;
    for (const cpu of [0, 1]) k.tlbs.insert(cpu, k.mms.asid(mm), 4, mkPte(9, RW), 1);
    machine.run(flushTlbLocal(k, 0, mm, 4, 1, true));
    expect([k.tlbs.lookup(0, k.mms.asid(mm), 4), k.tlbs.lookup(1, k.mms.asid(mm), 4)]).toEqual([0, mkPte(9, RW)]);
  });
});

describe("a range above the architecture's ceiling", () => {
  it.each([
    ["v6.12", "arm64", 511, ["tlbi 512..1023", "hook 512..1023"]],
    ["v6.12", "arm64", 512, ["tlbi all", "hook all"]],
    ["v6.12", "arm64-hafdbs", 512, ["tlbi 512..1024", "hook 512..1024"]],
    ["v6.12", "arm64-hafdbs", 2 ** 21 + 1, ["tlbi all", "hook all"]],
    ["v6.12", "x86-64", 33, ["tlbi 512..545", "hook 512..545"]],
    ["v6.12", "x86-64", 34, ["tlbi all", "hook all"]],
    ["v6.18", "x86-64", 34, ["tlbi all", "hook 512..546"]],
    ["v7.3", "x86-64", 34, ["tlbi all", "hook 512..546"]],
    ["v6.4", "x86-64", 34, ["tlbi all"]],
    ["v6.12", "riscv64", 64, ["tlbi 512..576", "hook 512..576"]],
    ["v6.12", "riscv64", 65, ["tlbi all", "hook 512..577"]],
  ])("%s %s flushes %i pages as %j", (profile, arch, pages, expected) => {
    const machine = new TlbMachine(profile, arch);
    expect(machine.flushes(flushTlbRange(machine.k, 0, machine.mm, 512, 512 + pages))).toEqual(expected);
  });

  it("is reported as asked for, with -1 entries, and flushes all CPUs' translations", () => {
    const machine = new TlbMachine("v6.12", "x86-64", { config: { cpuTlbEntries: 4 } });
    const { k, mm } = machine;
    k.tlbs.insert(0, k.mms.asid(mm), 9000, mkPte(9, RW), 1);
    machine.run(flushTlbRange(k, 0, mm, 512, 1024));
    expect(machine.events).toContainEqual(
      expect.objectContaining({
        kind: "tlb-flush",
        start: 512,
        end: 1024,
        pages: -1,
        strideShift: 12,
        lastLevelOnly: false,
      }),
    );
    expect(k.tlbs.lookup(0, k.mms.asid(mm), 9000)).toBe(0);
  });

  it("is counted in entries of the stride: 511 huge pages are one flush each", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const flush = flushTlbRange(k, 0, mm, 512, 512 * 512, { stridePages: 512 });
    expect(machine.flushes(flush)).toEqual(["tlbi 512..262144", "hook 512..262144"]);
  });

  it("arm64 rounds a range to its stride, x86 does not", () => {
    for (const [arch, expected] of [
      ["arm64", "hook 0..512"],
      ["x86-64", "hook 3..4"],
    ] as const) {
      const machine = new TlbMachine("v6.12", arch);
      const flush = flushTlbRange(machine.k, 0, machine.mm, 3, 4, { stridePages: 512, lastLevel: false });
      expect(machine.flushes(flush)).toContain(expected);
    }
  });
});

describe("clearing an entry with its flush", () => {
  it.each([
    ["v6.4", ["ptep_get_and_clear", "tlbi 3..4", "dsb ish"]],
    ["v6.12", ["ptep_get_and_clear", "tlbi 3..4", "hook 3..4", "dsb ish"]],
  ])("%s arm64: %j", (profile, expected) => {
    const machine = new TlbMachine(profile, "arm64");
    const ptep = machine.map(3, RW);
    expect(machine.timeline(ptepClearFlush(machine.k, 0, machine.mm, 3, ptep))).toEqual(expected);
    expect(machine.k.tables.get(ptep)).toBe(0);
  });

  it("tells the invalidate_range hook under the page-table lock up to v6.5, once in every kernel", () => {
    for (const profile of ["v5.10", "v6.4", "v6.12", "v7.3"]) {
      const machine = new TlbMachine(profile, "arm64");
      const ptep = machine.map(3, RW);
      const told = machine
        .flushes(ptepClearFlushNotify(machine.k, 0, machine.mm, 3, ptep))
        .filter((what) => what.startsWith("hook"));
      expect(told).toEqual(["hook 3..4"]);
    }
  });

  it("flushes nothing for an entry that no TLB holds, unless a gather of the mm has not flushed yet", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    const { k, mm } = machine;
    const first = machine.map(3, PTE_PROTNONE | PTE_AF | PTE_RDONLY);
    expect(machine.flushes(ptepClearFlush(k, 0, mm, 3, first))).toEqual([]);
    const second = machine.map(4, PTE_PROTNONE | PTE_AF | PTE_RDONLY);
    k.mms.addTlbFlushPending(mm, 1);
    expect(machine.flushes(ptepClearFlush(k, 0, mm, 4, second))).toEqual(["tlbi 4..5"]);
  });

  it("returns what hardware had set until then", () => {
    const machine = new TlbMachine("v6.4", "x86-64");
    const ptep = machine.map(3, RO | PTE_WRITE);
    machine.k.tables.set(ptep, machine.k.pte.hwMkdirty(machine.k.tables.get(ptep)));
    expect(machine.k.pte.dirty(machine.run(ptepClearFlush(machine.k, 0, machine.mm, 3, ptep)))).toBe(true);
  });
});

describe("huge entries", () => {
  it.each([
    ["v6.12", "arm64", ["tlbi 512..1024", "hook 512..1024"]],
    ["v6.12", "x86-64", ["tlbi all", "hook all"]],
    ["v7.3", "x86-64", ["tlbi all", "hook 512..1024"]],
  ])("on %s %s are flushed as %j", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const { k, mm } = machine;
    const pmdp = machine.map(512, RW, { pfn: 512, huge: true });
    const before = k.tables.get(pmdp);
    expect(machine.flushes(pmdpInvalidate(k, 0, mm, 600, pmdp))).toEqual(expected);
    expect(pteHugeLeaf(k.tables.get(pmdp))).toBe(true);
    expect(k.pte.hwReadable(k.tables.get(pmdp), true)).toBe(false);
    k.tables.set(pmdp, before);
    expect(machine.flushes(pmdpHugeClearFlush(k, 0, mm, 600, pmdp))).toEqual(expected);
    expect(k.tables.get(pmdp)).toBe(0);
    expect(machine.flushes(flushPmdTlbRange(k, 0, mm, 512, 1024))).toEqual(expected);
  });

  it.each([
    ["v6.12", "arm64", ["tlbi all", "hook all"]],
    ["v6.12", "arm64-hafdbs", ["tlbi 512..1024", "hook 512..1024"]],
    ["v7.3", "x86-64", ["tlbi all", "hook 512..1024"]],
  ])("a collapse on %s %s flushes the table's range by base pages: %j", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const pmdp = machine.map(512, RW, { pfn: 512, huge: true });
    expect(machine.flushes(pmdpCollapseFlush(machine.k, 0, machine.mm, 512, pmdp))).toEqual(expected);
  });

  it("mprotect's invalidation flushes on arm64 and not on x86 since v5.19", () => {
    for (const [profile, arch, flushes] of [
      ["v6.12", "arm64", true],
      ["v6.12", "x86-64", false],
      ["v5.10", "x86-64", true],
    ] as const) {
      const machine = new TlbMachine(profile, arch);
      const pmdp = machine.map(512, RW, { pfn: 512, huge: true });
      expect(machine.flushes(pmdpInvalidateAd(machine.k, 0, machine.mm, 512, pmdp)).length > 0).toBe(flushes);
      expect(machine.k.pte.hwReadable(machine.k.tables.get(pmdp), true)).toBe(false);
    }
  });

  it.each([
    ["v6.12", "arm64", "hook 512..513"],
    ["v6.18", "arm64", "hook 512..1024"],
    ["v7.3", "arm64", "hook 512..1024"],
    ["v6.12", "x86-64", "hook 512..513"],
    ["v7.3", "x86-64", "hook 512..513"],
  ])("hugetlb's clear and flush on %s %s tells %s", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const ptep = machine.map(512, RW, { pfn: 512, huge: true });
    expect(machine.flushes(hugePtepClearFlush(machine.k, 0, machine.mm, 700, ptep)).at(-1)).toBe(expected);
  });

  it("up to v6.5 their notifying form tells the hook all pages", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    const pmdp = machine.map(512, RW, { pfn: 512, huge: true });
    expect(machine.flushes(pmdpHugeClearFlushNotify(machine.k, 0, machine.mm, 512, pmdp))).toEqual([
      "tlbi 512..1024",
      "hook 512..1024",
    ]);
  });
});

describe("aging", () => {
  it.each([
    ["v6.4", "x86-64", []],
    ["v6.4", "arm64", ["tlbi 3..4"]],
    ["v6.12", "arm64", ["tlbi 3..4", "hook 3..4"]],
    ["v6.4", "ia64", ["tlbi 3..4"]],
  ])("clear_flush_young on %s %s flushes %j without waiting on arm64", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const ptep = machine.map(3, RO);
    const timeline = machine.timeline(ptepClearFlushYoung(machine.k, 0, machine.mm, 3, ptep));
    expect(timeline.filter((what) => what.startsWith("tlbi") || what.startsWith("hook"))).toEqual(expected);
    if (arch === "arm64") expect(timeline).not.toContain("dsb ish");
    expect(machine.run(ptepClearFlushYoung(machine.k, 0, machine.mm, 3, ptep))).toBe(0);
  });

  it("asks secondary MMUs even when the entry was old", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    const ptep = machine.map(3, RO & ~PTE_AF);
    const timeline = machine.timeline(ptepClearFlushYoungNotify(machine.k, 0, machine.mm, 3, ptep));
    expect(timeline).toEqual(["clear_flush_young 3..4"]);
  });
});

describe("changing rights in place", () => {
  it("takes the entry out between start and commit, where a walker finds none", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const ptep = machine.map(3, RW);
    function* change(): Path<number> {
      const before = yield ptepModifyProtStart(k, ptep);
      expect(k.tables.get(ptep)).toBe(0);
      yield ptepModifyProtCommit(k, mm, 3, ptep, k.pte.wrprotect(before));
      return before;
    }
    expect(machine.run(change())).toBe(mkPte(64, RW));
    expect(k.tables.get(ptep)).toBe(k.pte.wrprotect(mkPte(64, RW)));
  });

  it("write protection flushes nothing and keeps the dirty state", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const ptep = machine.map(3, RW & ~PTE_DIRTY);
    function* protect(): Path<number> {
      yield setPteAt(k, mm, 3, ptep, k.tables.get(ptep));
      return yield ptepSetWrprotect(k, ptep);
    }
    expect(machine.flushes(protect())).toEqual([]);
    expect(k.pte.dirty(k.tables.get(ptep))).toBe(true);
    expect(k.pte.hwWritable(k.tables.get(ptep), true)).toBe(false);
  });

  it("get-and-clear of nothing is nothing", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const ptep = machine.map(3, RW);
    machine.k.tables.set(ptep, 0);
    function* clear(): Path<number> {
      return yield ptepGetAndClear(machine.k, ptep);
    }
    expect(machine.run(clear())).toBe(0);
  });
});

describe("whether mprotect must flush a changed entry", () => {
  const needs = (profile: string, arch: string, before: number, after: number): boolean => {
    const { k } = new TlbMachine(profile, arch);
    return pteNeedsFlush(k, mkPte(5, before), mkPte(5, after));
  };

  it.each([
    ["taking write away", RW, RW & ~PTE_WRITE, { arm: true, x86: true }],
    ["giving write", RO, RO | PTE_WRITE, { arm: true, x86: true }],
    ["making it executable", RO | PTE_NX, RO, { arm: true, x86: true }],
    ["taking everything away", RO, (RO & ~(PTE_VALID | PTE_USER)) | PTE_PROTNONE, { arm: true, x86: true }],
    ["coming back from PROT_NONE", PTE_PROTNONE | PTE_AF, RO, { arm: false, x86: false }],
    ["nothing", RW, RW, { arm: false, x86: false }],
    ["resolving userfaultfd protection of a read-only page", RO | PTE_UFFD_WP, RO, { arm: false, x86: false }],
    ["a software bit", RO, RO | PTE_SPECIAL, { arm: false, x86: false }],
    ["clearing dirty", RW, RW & ~PTE_DIRTY, { arm: false, x86: true }],
    ["getting old", RO, RO & ~PTE_AF, { arm: true, x86: false }],
    ["getting old, huge", RO | PTE_HUGE, (RO & ~PTE_AF) | PTE_HUGE, { arm: true, x86: true }],
  ])("%s: x86 looks at the bits since v5.18, arm64 since v6.19", (_, before, after, expected) => {
    expect(needs("v6.12", "x86-64", before, after)).toBe(expected.x86);
    expect(needs("v7.3", "arm64", before, after)).toBe(expected.arm);
    expect(needs("v5.10", "x86-64", before, after)).toBe(true);
    expect(needs("v6.12", "arm64", before, after)).toBe(true);
    expect(needs("v7.3", "riscv64", before, after)).toBe(true);
  });

  it("another frame always needs one", () => {
    const { k } = new TlbMachine("v7.3", "x86-64");
    expect(pteNeedsFlush(k, mkPte(5, RO), mkPte(6, RO))).toBe(true);
  });

  it("kernels say so in their profile", () => {
    expect(kernelProfile("v5.10").mprotectGathers).toBe(false);
    expect(kernelProfile("v6.1").mprotectGathers).toBe(true);
  });
});

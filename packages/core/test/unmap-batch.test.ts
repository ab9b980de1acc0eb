import {
  flushTlbBatchedPending,
  mkPte,
  PTE_AF,
  PTE_DIRTY,
  PTE_PROTNONE,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  setTlbUbcFlushPending,
  shouldDeferFlush,
  TlbUnmapBatch,
  tryToUnmapFlush,
  tryToUnmapFlushDirty,
} from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { TlbMachine } from "./tlb-machine.js";

const RO = mkPte(7, PTE_VALID | PTE_USER | PTE_AF);
const DIRTY = mkPte(7, PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_DIRTY);

describe("whether reclaim puts a flush off", () => {
  it.each([
    ["v6.4", "arm64", 1, false],
    ["v6.12", "arm64", 1, true],
    ["v6.4", "x86-64", 1, false],
    ["v6.4", "riscv64", 1, false],
    ["v6.12", "riscv64", 1, true],
    ["v6.12", "sparc64", 2, false],
  ])("%s %s with %i CPUs: %s", (profile, arch, cpus, expected) => {
    const machine = new TlbMachine(profile, arch, { config: { cpus } });
    expect(machine.run(shouldDeferFlush(machine.k, 0, machine.mm))).toBe(expected);
  });

  it("on x86 only if another CPU uses the mm", () => {
    const machine = new TlbMachine("v6.12", "x86-64", { config: { cpus: 2 } });
    const { k, mm } = machine;
    k.mms.setCpumask(mm, 0b01);
    expect(machine.run(shouldDeferFlush(k, 0, mm))).toBe(false);
    k.mms.setCpumask(mm, 0b11);
    expect(machine.run(shouldDeferFlush(k, 0, mm))).toBe(true);
  });
});

describe("a put-off flush", () => {
  it("on arm64 is issued and told page by page, and waited for once at the end", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const batch = new TlbUnmapBatch();
    expect(machine.timeline(setTlbUbcFlushPending(k, 0, mm, batch, RO, 3))).toEqual(["tlbi 3..4", "hook 3..4"]);
    expect(machine.timeline(setTlbUbcFlushPending(k, 0, mm, batch, RO, 4))).toEqual(["tlbi 4..5", "hook 4..5"]);
    expect(machine.timeline(tryToUnmapFlush(k, 0, batch))).toEqual(["dsb ish"]);
    expect(machine.timeline(tryToUnmapFlush(k, 0, batch))).toEqual([]);
  });

  it("on x86 tells the secondary TLB at once that everything goes, and interrupts the CPUs at the end", () => {
    const machine = new TlbMachine("v6.12", "x86-64", { config: { cpus: 2, cpuTlbEntries: 4 } });
    const { k, mm } = machine;
    const batch = new TlbUnmapBatch();
    k.tlbs.insert(1, k.mms.asid(mm), 3, RO, 1);
    expect(machine.timeline(setTlbUbcFlushPending(k, 0, mm, batch, RO, 3))).toEqual(["hook all"]);
    expect(k.tlbs.lookup(1, k.mms.asid(mm), 3)).toBe(RO);
    expect(machine.timeline(tryToUnmapFlush(k, 0, batch))).toEqual(["tlbi all"]);
    expect(k.tlbs.lookup(1, k.mms.asid(mm), 3)).toBe(0);
  });

  it("up to v6.5 is not told to the secondary TLB by x86", () => {
    const machine = new TlbMachine("v6.4", "x86-64", { config: { cpus: 2 } });
    expect(machine.timeline(setTlbUbcFlushPending(machine.k, 0, machine.mm, new TlbUnmapBatch(), RO, 3))).toEqual([]);
  });

  it("of a dirty entry must happen before the page is written out", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const batch = new TlbUnmapBatch();
    machine.run(setTlbUbcFlushPending(k, 0, mm, batch, RO, 3));
    expect(machine.timeline(tryToUnmapFlushDirty(k, 0, batch))).toEqual([]);
    machine.run(setTlbUbcFlushPending(k, 0, mm, batch, DIRTY, 4));
    expect(machine.timeline(tryToUnmapFlushDirty(k, 0, batch))).toEqual(["dsb ish"]);
  });

  it("is not needed for an entry that no TLB holds", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const batch = new TlbUnmapBatch();
    expect(machine.flushes(setTlbUbcFlushPending(machine.k, 0, machine.mm, batch, mkPte(7, PTE_PROTNONE), 3))).toEqual(
      [],
    );
    expect(batch.mms.size).toBe(0);
  });
});

describe("a walker that comes after reclaim", () => {
  it("flushes the whole mm once, even if reclaim has completed its flushes", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const { k, mm } = machine;
    const batch = new TlbUnmapBatch();
    expect(machine.flushes(flushTlbBatchedPending(k, 0, mm))).toEqual([]);
    machine.run(setTlbUbcFlushPending(k, 0, mm, batch, RO, 3));
    machine.run(tryToUnmapFlush(k, 0, batch));
    expect(machine.flushes(flushTlbBatchedPending(k, 0, mm))).toEqual(["tlbi all", "hook all"]);
    expect(machine.flushes(flushTlbBatchedPending(k, 0, mm))).toEqual([]);
  });

  it("has nothing to do in kernels that never put a flush off", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    machine.k.mms.setTlbFlushBatched(machine.mm, true);
    expect(machine.timeline(flushTlbBatchedPending(machine.k, 0, machine.mm))).toEqual([]);
  });
});

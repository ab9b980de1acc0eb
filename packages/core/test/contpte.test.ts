import {
  CONT_PTES,
  contptePtepGet,
  contpteTryFold,
  contpteTryUnfold,
  contpteTryUnfoldPartial,
  hasContpte,
  mkPte,
  PTE_AF,
  PTE_CONT,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_SPECIAL,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  ptepClearFlush,
  ptepClearFlushYoung,
  ptepSetAccessFlags,
  ptePfn,
  pteValidCont,
  SAF_CHANGED,
  SAF_GAINED,
  setPteAt,
  setPtes,
  TINY,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { TlbMachine } from "./tlb-machine.js";

const CLEAN = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_RDONLY;
const READ_ONLY = PTE_VALID | PTE_USER | PTE_AF | PTE_RDONLY;

/** Pages 512 to 575 map a folio of 64 pages. */
function mapped(profile = "v7.3", flags = READ_ONLY): { machine: TlbMachine; ptep: number; pfn: number } {
  const machine = new TlbMachine(profile, "arm64");
  const { k, mm } = machine;
  const pfn = k.pages.alloc(6);
  const ptep = k.tables.findOrCreate(machine.pgd, 0, 512);
  machine.run(setPtes(k, 0, mm, 512, ptep, mkPte(pfn, flags), 64));
  return { machine, ptep, pfn };
}

function folded(machine: TlbMachine, ptep: number, pages = 64): boolean[] {
  return Array.from({ length: pages / CONT_PTES }, (_, block) =>
    pteValidCont(machine.k.tables.get(ptep + block * CONT_PTES)),
  );
}

describe("folding runs of 16 entries", () => {
  it.each([
    ["v6.12", "arm64", true],
    ["v7.3", "arm64-hafdbs", true],
    ["v6.4", "arm64", false],
    ["v7.3", "x86-64", false],
  ])("%s %s: %s", (profile, arch, expected) => {
    expect(hasContpte(new TlbMachine(profile, arch).k)).toBe(expected);
  });

  it("is off where a page table is shorter than a run", () => {
    expect(hasContpte(new TlbMachine("v7.3", "arm64", { geometry: TINY }).k)).toBe(false);
  });

  it("happens at once when a whole folio is mapped, and only for whole aligned blocks", () => {
    const { machine, ptep, pfn } = mapped();
    expect(folded(machine, ptep)).toEqual([true, true, true, true]);
    expect(ptePfn(machine.k.tables.get(ptep + 37))).toBe(pfn + 37);
    const other = machine.k.tables.findOrCreate(machine.pgd, 0, 1030);
    machine.run(setPtes(machine.k, 0, machine.mm, 1030, other, mkPte(pfn + 6, READ_ONLY), 30));
    expect(Array.from({ length: 30 }, (_, i) => pteValidCont(machine.k.tables.get(other + i)))).toEqual(
      Array.from({ length: 30 }, (_, i) => i >= 10 && i < 26),
    );
  });

  it("happens when the last entry of a block comes back, with break-before-make", () => {
    const { machine, ptep, pfn } = mapped();
    const { k, mm } = machine;
    machine.run(contpteTryUnfold(k, 0, mm, 520, ptep + 8));
    expect(folded(machine, ptep)[0]).toBe(false);
    const timeline = machine.timeline(setPtes(k, 0, mm, 527, ptep + 15, mkPte(pfn + 15, READ_ONLY)));
    expect(timeline).toEqual([
      "set_pte_at 527",
      "contpte_convert: clear the block",
      "tlbi 512..528",
      "hook 512..528",
      "dsb ish",
      "contpte_convert: set the block",
    ]);
    expect(folded(machine, ptep)[0]).toBe(true);
  });

  it.each([
    ["another entry has other rights", (pfn: number) => mkPte(pfn, CLEAN)],
    ["another entry maps another frame", (pfn: number) => mkPte(pfn + 1, READ_ONLY)],
    ["another entry is special", (pfn: number) => mkPte(pfn, READ_ONLY | PTE_SPECIAL)],
    ["another entry is none", () => 0],
  ])("does not happen when %s", (_, entry) => {
    const { machine, ptep, pfn } = mapped();
    const { k, mm } = machine;
    machine.run(contpteTryUnfold(k, 0, mm, 512, ptep));
    k.tables.set(ptep + 3, entry(pfn + 3));
    expect(machine.flushes(contpteTryFold(k, 0, mm, 527, ptep + 15))).toEqual([]);
    expect(folded(machine, ptep)[0]).toBe(false);
  });

  it("does not happen across single pages that lie side by side", () => {
    const machine = new TlbMachine("v7.3", "arm64");
    const { k, mm } = machine;
    const first = k.pages.alloc(4);
    k.pages.split(first, 1, false);
    const ptep = k.tables.findOrCreate(machine.pgd, 0, 512);
    for (let i = 0; i < CONT_PTES; i++) k.tables.set(ptep + i, mkPte(first + i, READ_ONLY));
    expect(machine.flushes(contpteTryFold(k, 0, mm, 527, ptep + 15))).toEqual([]);
  });

  it("allows entries that differ in being young or dirty, and makes all of them so", () => {
    const { machine, ptep } = mapped();
    const { k, mm } = machine;
    machine.run(contpteTryUnfold(k, 0, mm, 512, ptep));
    for (let i = 0; i < CONT_PTES; i++) k.tables.set(ptep + i, k.tables.get(ptep + i) & ~PTE_AF);
    k.tables.set(ptep + 3, k.tables.get(ptep + 3) | PTE_AF | PTE_DIRTY);
    machine.run(contpteTryFold(k, 0, mm, 527, ptep + 15));
    expect(folded(machine, ptep)[0]).toBe(true);
    expect(k.tables.get(ptep + 9) & (PTE_AF | PTE_DIRTY)).toBe(PTE_AF | PTE_DIRTY);
  });
});

describe("unfolding", () => {
  it("flushes the block before one of its entries is cleared for a copy on write", () => {
    const { machine, ptep } = mapped("v6.12");
    expect(machine.flushes(ptepClearFlush(machine.k, 0, machine.mm, 513, ptep + 1))).toEqual([
      "tlbi 512..528",
      "hook 512..528",
      "tlbi 513..514",
      "hook 513..514",
    ]);
    expect(machine.k.tables.get(ptep + 1)).toBe(0);
    expect(folded(machine, ptep)).toEqual([false, true, true, true]);
  });

  it("of a part of a range touches its two ends only", () => {
    const { machine, ptep } = mapped();
    const flushes = machine.flushes(contpteTryUnfoldPartial(machine.k, 0, machine.mm, 520, ptep + 8, 30));
    expect(flushes.filter((what) => what.startsWith("tlbi"))).toEqual(["tlbi 512..528", "tlbi 544..560"]);
    expect(folded(machine, ptep)).toEqual([false, true, false, true]);
  });

  it("of whole blocks does nothing", () => {
    const { machine, ptep } = mapped();
    expect(machine.flushes(contpteTryUnfoldPartial(machine.k, 0, machine.mm, 512, ptep, 32))).toEqual([]);
    expect(folded(machine, ptep)).toEqual([true, true, true, true]);
  });
});

describe("access and dirty state of a folded block", () => {
  it("is gathered from all entries", () => {
    const { machine, ptep } = mapped("v7.3", CLEAN & ~PTE_AF);
    const { k } = machine;
    k.tables.set(ptep + 5, k.tables.get(ptep + 5) | PTE_AF);
    k.tables.set(ptep + 6, k.pte.hwMkdirty(k.tables.get(ptep + 6)));
    expect(k.tables.get(ptep) & PTE_AF).toBe(0);
    expect(contptePtepGet(k, 512, ptep) & PTE_AF).toBe(PTE_AF);
    expect(k.pte.dirty(contptePtepGet(k, 512, ptep))).toBe(true);
  });

  it.each([
    ["v6.12", ["tlbi 512..528", "hook 512..528"]],
    ["v7.3", ["tlbi 512..528 local", "hook 512..528"]],
  ])("on %s goes into all 16 entries and flushes the block once", (profile, expected) => {
    const { machine, ptep } = mapped(profile, CLEAN);
    const { k, mm } = machine;
    const wanted = k.pte.mkdirty(k.tables.get(ptep + 1));
    const flushes = machine.flushes(ptepSetAccessFlags(k, 0, mm, 513, ptep + 1, wanted, true, "handle_pte_fault"));
    expect(flushes).toEqual(expected);
    expect(folded(machine, ptep)[0]).toBe(true);
    expect(k.pte.hwWritable(k.tables.get(ptep + 9), false)).toBe(true);
    expect(machine.events).toContainEqual({ kind: "upgrade", mm, vpn: 512, pages: 16, site: "handle_pte_fault" });
  });

  it("is written even if only a sibling had it: the entry that faulted must allow the access", () => {
    const { machine, ptep } = mapped("v7.3", CLEAN);
    const { k, mm } = machine;
    k.tables.set(ptep + 5, k.pte.mkdirty(k.tables.get(ptep + 5)));
    const wanted = k.pte.mkdirty(k.tables.get(ptep + 1));
    expect(machine.run(ptepSetAccessFlags(k, 0, mm, 513, ptep + 1, wanted, true, "site"))).toBe(
      SAF_CHANGED | SAF_GAINED,
    );
    expect(machine.run(ptepSetAccessFlags(k, 0, mm, 513, ptep + 1, k.tables.get(ptep + 1), true, "site"))).toBe(0);
  });

  it("unfolds first when the write right changes", () => {
    const { machine, ptep } = mapped("v7.3", READ_ONLY);
    const { k, mm } = machine;
    const wanted = k.pte.mkwrite(k.pte.mkdirty(k.tables.get(ptep + 1))) & ~PTE_CONT;
    const flushes = machine.flushes(ptepSetAccessFlags(k, 0, mm, 513, ptep + 1, wanted, true, "wp_page_reuse"));
    expect(flushes).toEqual(["tlbi 512..528", "hook 512..528", "tlbi 513..514 local", "hook 513..514"]);
    expect(k.pte.hwWritable(k.tables.get(ptep + 1), false)).toBe(true);
    expect(k.pte.hwWritable(k.tables.get(ptep + 2), true)).toBe(false);
  });

  it("is cleared for all entries when one is aged", () => {
    const { machine, ptep } = mapped("v6.12");
    const { k, mm } = machine;
    expect(machine.flushes(ptepClearFlushYoung(k, 0, mm, 515, ptep + 3))).toEqual(["tlbi 512..528", "hook 512..528"]);
    expect(k.tables.get(ptep + 14) & PTE_AF).toBe(0);
    expect(machine.run(ptepClearFlushYoung(k, 0, mm, 516, ptep + 4))).toBe(0);
  });
});

describe("the contiguous hint of an entry that was read", () => {
  it("is not stored with a single entry, nor taken for a change", () => {
    const { machine, ptep } = mapped("v7.3", CLEAN);
    const { k, mm } = machine;
    const read = k.tables.get(ptep + 1);
    expect(pteValidCont(read)).toBe(true);
    const elsewhere = k.tables.findOrCreate(machine.pgd, 0, 1024);
    function* store(): Path {
      yield setPteAt(k, mm, 1024, elsewhere, read);
    }
    machine.run(store());
    expect(pteValidCont(k.tables.get(elsewhere))).toBe(false);
    expect(machine.run(ptepSetAccessFlags(k, 0, mm, 1024, elsewhere, read, false, "site"))).toBe(0);
  });
});

import { CpuTlbs, Dvm, mkPte, PTE_AF, PTE_HUGE, PTE_USER, PTE_VALID, ptePfn } from "@mmu-notifier/core";
import { Memory } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const LEAF = PTE_VALID | PTE_USER | PTE_AF;
const ASID = 1;

function tlbs(entries = 4, cpus = 1): CpuTlbs {
  return new CpuTlbs(new Memory(), cpus, entries);
}

describe("a CPU's TLB", () => {
  it("gives back the leaf it was given, to the same address space only", () => {
    const tlb = tlbs();
    tlb.insert(0, ASID, 7, mkPte(9, LEAF), 1);
    expect(tlb.lookup(0, ASID, 7)).toBe(mkPte(9, LEAF));
    expect(tlb.lookup(0, ASID, 8)).toBe(0);
    expect(tlb.lookup(0, ASID + 1, 7)).toBe(0);
  });

  it("translates every page of a block", () => {
    const tlb = tlbs();
    tlb.insert(0, ASID, 600, mkPte(512, LEAF), 512);
    expect(ptePfn(tlb.lookup(0, ASID, 1023))).toBe(1023);
    expect(tlb.lookup(0, ASID, 512) & PTE_HUGE).toBe(PTE_HUGE);
    expect(tlb.lookup(0, ASID, 1024)).toBe(0);
  });

  it("replaces the entry of the same page and otherwise the oldest", () => {
    const tlb = tlbs(2);
    for (const vpn of [1, 2, 2, 3]) tlb.insert(0, ASID, vpn, mkPte(vpn, LEAF), 1);
    expect([1, 2, 3].map((vpn) => tlb.lookup(0, ASID, vpn) !== 0)).toEqual([false, true, true]);
  });

  it("holds nothing when it has no entries: every access walks", () => {
    const tlb = tlbs(0);
    tlb.insert(0, ASID, 1, mkPte(1, LEAF), 1);
    tlb.invalidate(0, ASID, 0, Infinity);
    expect(tlb.lookup(0, ASID, 1)).toBe(0);
  });

  it("is each CPU's own", () => {
    const tlb = tlbs(2, 2);
    tlb.insert(0, ASID, 1, mkPte(1, LEAF), 1);
    expect(tlb.lookup(1, ASID, 1)).toBe(0);
  });

  it("drops whatever overlaps an invalidated range, of any size, and nothing else", () => {
    const entry = fc.record({ vpn: fc.integer({ min: 0, max: 63 }), span: fc.constantFrom(1, 4, 16) });
    const range = fc.tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 1, max: 16 }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), range, (entries, [start, pages]) => {
        const tlb = tlbs(8);
        for (const { vpn, span } of entries) tlb.insert(0, ASID, vpn, mkPte(64, LEAF), span);
        const before = Array.from({ length: 64 }, (_, vpn) => tlb.lookup(0, ASID, vpn) !== 0);
        tlb.invalidate(0, ASID, start, start + pages);
        for (let vpn = 0; vpn < 64; vpn++) {
          const held = tlb.lookup(0, ASID, vpn) !== 0;
          if (vpn >= start && vpn < start + pages) expect(held).toBe(false);
          if (held) expect(before[vpn]).toBe(true);
        }
      }),
    );
  });
});

describe("broadcast TLB maintenance", () => {
  it("reaches those who joined, until they leave, and is complete when all are", () => {
    const dvm = new Dvm();
    const heard: string[] = [];
    let drained = false;
    const leave = dvm.join({
      tlbi: (asid, start, end, leaf) => heard.push(`${asid} ${start}..${end} ${leaf}`),
      drained: () => drained,
    });
    dvm.join({ tlbi: () => {}, drained: () => true });
    dvm.tlbi(ASID, 3, 4, true);
    expect(dvm.drained).toBe(false);
    drained = true;
    expect(dvm.drained).toBe(true);
    leave();
    dvm.tlbi(ASID, 5, 6, true);
    expect(heard).toEqual(["1 3..4 true"]);
  });
});

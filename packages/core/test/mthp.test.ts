import { CONT_PTES, pteValidCont, pteWrite } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { FaultMachine } from "./fault-machine.js";

const ORDER_64K = 4;
const BLOCK = 1 << ORDER_64K;

/** 64 writable pages, with 64 KiB folios enabled for all memory. */
function machineWith64k(profile: string, arch: string): FaultMachine {
  const machine = new FaultMachine(profile, arch);
  machine.poke(() => machine.k.anonOrders.set(ORDER_64K, "always"));
  machine.map({ start: 0, pages: 64 });
  return machine;
}

function populated(machine: FaultMachine): number {
  return Array.from({ length: 64 }, (_, page) => machine.pte(page)).filter((pte) => pte !== 0).length;
}

describe("anonymous folios of several sizes", () => {
  it.each([
    ["v6.12", "x86-64", false],
    ["v6.12", "arm64", true],
    ["v7.3", "arm64", true],
  ])("%s %s: one write maps an aligned folio (folded: %s)", (profile, arch, folded) => {
    const machine = machineWith64k(profile, arch);
    machine.write(BLOCK + 3);
    expect(populated(machine)).toBe(BLOCK);
    const { k } = machine;
    const pfn = machine.pfn(BLOCK);
    expect([k.pages.pages(pfn), k.pages.refcount(pfn)]).toEqual([BLOCK, BLOCK]);
    expect(pteValidCont(machine.pte(BLOCK))).toBe(folded);
    expect(CONT_PTES).toBe(BLOCK);
  });

  it("takes single pages where the block is not empty, not inside the VMA, or nothing is enabled", () => {
    const taken = machineWith64k("v6.12", "x86-64");
    taken.read(1);
    taken.write(0);
    expect(populated(taken)).toBe(2);
    const edge = machineWith64k("v6.12", "x86-64");
    edge.unmap(8, 56);
    edge.write(0);
    expect(populated(edge)).toBe(1);
    const advised = machineWith64k("v6.12", "x86-64");
    advised.poke(() => advised.k.anonOrders.set(ORDER_64K, "madvise"));
    advised.write(0);
    expect(populated(advised)).toBe(1);
  });

  it.each([
    ["v6.12", ["start CLEAR 1..2", "flush 1..2", "end CLEAR 1..2"]],
    ["v7.3", ["gain 1..2"]],
  ])("after fork and exit of the child %s: a write to one of 16 pages", (profile, expected) => {
    const machine = machineWith64k(profile, "x86-64");
    machine.write(0);
    machine.reap(machine.fork());
    expect(pteWrite(machine.pte(1))).toBe(false);
    expect(machine.told(() => machine.write(1)).filter((what) => !what.startsWith("hook"))).toEqual(expected);
  });
});

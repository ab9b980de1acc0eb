import { pteSpecial, sysFsync } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { FaultMachine } from "./fault-machine.js";

function mapped(profile: string, shared = true): { machine: FaultMachine; file: number } {
  const machine = new FaultMachine(profile, "x86-64");
  const file = machine.frames("dax", 8);
  machine.map({ start: 0, pages: 8, shared, file });
  return { machine, file };
}

describe("pages of DAX files", () => {
  it.each([
    ["v6.12", true, 0, 1],
    ["v6.18", false, 1, 2],
  ])("%s: special entry %s, mappings %i, references %i", (profile, special, mappings, references) => {
    const { machine } = mapped(profile);
    machine.read(2);
    const pfn = machine.pfn(2);
    const { pages } = machine.k;
    expect([pteSpecial(machine.pte(2)), pages.mapcount(pfn), pages.refcount(pfn)]).toEqual([
      special,
      mappings,
      references,
    ]);
    machine.unmap(0, 8);
    expect([pages.mapcount(pfn), pages.refcount(pfn)]).toEqual([0, 1]);
  });

  it.each(["v6.12", "v6.18"])("%s: a private copy has the content of the file, which stays", (profile) => {
    const { machine } = mapped(profile, false);
    expect(machine.read(3)).toBe(53);
    machine.write(3, 9);
    expect([machine.read(3), machine.read(4)]).toEqual([9, 54]);
  });

  it.each([
    ["v5.10", []],
    ["v6.1", ["start PROTECTION_PAGE 1..2", "end PROTECTION_PAGE 1..2", "hook 1..2"]],
    ["v6.12", []],
  ])("%s: what fsync announces of a page that was only read", (profile, expected) => {
    const { machine, file } = mapped(profile);
    machine.read(1);
    expect(machine.told(() => machine.run(sysFsync(machine.k, machine.t, file)))).toEqual(expected);
  });
});

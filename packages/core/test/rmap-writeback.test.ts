import { sysFsync } from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { MmMachine } from "./mm-machine.js";

function twoMappings(profile: string, arch: string): { machine: MmMachine; file: number } {
  const machine = new MmMachine(profile, arch);
  const file = machine.disk(8);
  machine.file(file, 0, 8);
  machine.file(file, 16, 8);
  machine.write(0);
  machine.write(1);
  return { machine, file };
}

describe("writeback write-protects what was written", () => {
  test.each([
    ["v6.4", "arm64"],
    ["v6.4", "x86-64"],
  ])("%s on %s: one range per mapping of each dirty page, the hook only from its end", (profile, arch) => {
    const { machine, file } = twoMappings(profile, arch);
    expect(machine.log(sysFsync(machine.k, machine.t, file))).toEqual([
      "S 0-1 PROTECTION_PAGE",
      "E 0-1 PROTECTION_PAGE",
      "S 16-17 PROTECTION_PAGE",
      "E 16-17 PROTECTION_PAGE",
      "S 1-2 PROTECTION_PAGE",
      "E 1-2 PROTECTION_PAGE",
      "S 17-18 PROTECTION_PAGE",
      "E 17-18 PROTECTION_PAGE",
    ]);
    expect(machine.states(0, 3)).toBe("ro ro none");
  });

  test.each([
    ["v6.12", "arm64"],
    ["v6.12", "x86-64"],
  ])("%s on %s: the flush of each mapped page tells the hook", (profile, arch) => {
    const { machine, file } = twoMappings(profile, arch);
    expect(machine.log(sysFsync(machine.k, machine.t, file))).toEqual([
      "S 0-1 PROTECTION_PAGE",
      "X 0-1",
      "E 0-1 PROTECTION_PAGE",
      "S 16-17 PROTECTION_PAGE",
      "E 16-17 PROTECTION_PAGE",
      "S 1-2 PROTECTION_PAGE",
      "X 1-2",
      "E 1-2 PROTECTION_PAGE",
      "S 17-18 PROTECTION_PAGE",
      "E 17-18 PROTECTION_PAGE",
    ]);
  });

  test("a second fsync has nothing to do, the next write makes the page dirty again", () => {
    const { machine, file } = twoMappings("v6.12", "arm64");
    machine.run(sysFsync(machine.k, machine.t, file));
    expect(machine.log(sysFsync(machine.k, machine.t, file))).toEqual([]);
    machine.write(0, 7);
    expect(machine.state(0)).toBe("rw");
    expect(machine.log(sysFsync(machine.k, machine.t, file))).toHaveLength(5);
    expect(machine.k.files.stored(machine.k.files.inode(file), 0)).toBe(7);
  });

  test("memory files have no disk", () => {
    const machine = new MmMachine("v6.12", "arm64");
    const file = machine.shmem(8);
    machine.file(file, 0, 8);
    machine.write(0);
    expect(machine.log(sysFsync(machine.k, machine.t, file))).toEqual([]);
  });
});

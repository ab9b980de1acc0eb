import {
  MADV_DONTFORK,
  MADV_NORMAL,
  MADV_RANDOM,
  mmput,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  PROT_READ,
  sysFork,
  sysMadvise,
  sysMlock,
  sysMunlock,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { prot, VmaMachine } from "./vma-machine.js";

const machine = (profile = "v6.18"): VmaMachine => new VmaMachine(profile, "x86-64");

describe("a new mapping", () => {
  test("grows its neighbours", () => {
    const m = machine();
    m.anon(0, 4);
    m.anon(4, 4);
    expect(m.vmas()).toEqual(["0-8 rw"]);
    m.anon(12, 4);
    m.anon(8, 4);
    expect(m.vmas()).toEqual(["0-16 rw"]);
  });

  test("merges parts of a file only where they continue each other", () => {
    const m = machine();
    const file = m.shmem(32);
    m.file(file, 0, 4, "shared", 0);
    m.file(file, 4, 4, "shared", 4);
    m.file(file, 8, 4, "shared", 9);
    m.file(file, 12, 4, "private", 13);
    expect(m.vmas()).toEqual(["0-8 rw", "8-12 rw", "12-16 rw"]);
  });

  test("takes the place of what was there", () => {
    const m = machine();
    m.anon(0, 8);
    m.anon(2, 4, PROT_READ);
    expect(m.vmas()).toEqual(["0-2 rw", "2-6 r", "6-8 rw"]);
  });
});

describe("changing part of a VMA", () => {
  test.each([
    ["the start", 0, 2, ["0-2 r", "2-8 rw"]],
    ["the middle", 2, 4, ["0-2 rw", "2-6 r", "6-8 rw"]],
    ["the end", 6, 2, ["0-6 rw", "6-8 r"]],
    ["all of it", 0, 8, ["0-8 r"]],
  ])("%s splits it, and changing back merges again", (_, page, pages, split) => {
    const m = machine();
    m.anon(0, 8);
    m.run(m.protect(page, pages, "r"));
    expect(m.vmas()).toEqual(split);
    m.run(m.protect(page, pages, "rw"));
    expect(m.vmas()).toEqual(["0-8 rw"]);
  });

  test("a neighbour grows over part of the next", () => {
    const m = machine();
    m.anon(0, 4, PROT_READ);
    m.anon(4, 4);
    m.run(m.protect(4, 2, "r"));
    expect(m.vmas()).toEqual(["0-6 r", "6-8 rw"]);
    m.run(m.protect(2, 4, "rw"));
    expect(m.vmas()).toEqual(["0-2 r", "2-8 rw"]);
  });

  test("advice and locks keep VMAs apart while they differ", () => {
    const m = machine();
    m.anon(0, 8);
    const advise = (advice: number): number => m.run(sysMadvise(m.k, m.t, m.at(2), 2 * PAGE_SIZE, advice));
    advise(MADV_RANDOM);
    expect(m.vmas()).toHaveLength(3);
    advise(MADV_NORMAL);
    expect(m.vmas()).toHaveLength(1);
    m.run(sysMlock(m.k, m.t, m.at(4), PAGE_SIZE));
    expect(m.vmas()).toHaveLength(3);
    m.run(sysMunlock(m.k, m.t, m.at(0), 8 * PAGE_SIZE));
    expect(m.vmas()).toHaveLength(1);
    advise(MADV_DONTFORK);
    const child = m.run(sysFork(m.k, m.t));
    expect(m.k.vmas.count(m.k.mms.vmaList(child))).toBe(2);
  });
});

describe("VMAs with pages of their own", () => {
  test.each([
    ["v6.12", ["0-4 rw", "4-8 rw"]],
    ["v6.18", ["0-8 rw"]],
  ])("%s: a VMA without pages takes in one that has some", (profile, merged) => {
    const m = machine(profile);
    m.anon(0, 4);
    m.anon(16, 4, PROT_READ);
    m.run(m.protect(16, 4, "rw"));
    m.write(16);
    // Moved so that the page offsets continue each other only if the copy may follow its address: it may not, it has pages.
    m.run(m.remap(16, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 4));
    expect(m.vmas()).toEqual(["0-4 rw", "4-8 rw"]);
    const fresh = machine(profile);
    fresh.anon(0, 4, prot("rwx"));
    fresh.anon(4, 4);
    fresh.write(4);
    fresh.run(fresh.protect(0, 4, "rw"));
    // The first has no anon_vma; which one grows decides whether that matters.
    expect(fresh.vmas()).toEqual(["0-8 rw"]);
    const late = machine(profile);
    late.anon(0, 4);
    late.anon(4, 4, prot("rwx"));
    late.write(4);
    late.run(late.protect(4, 4, "rw"));
    expect(late.vmas()).toEqual(merged);
  });

  test("never merge when their anon_vmas differ", () => {
    const m = machine();
    m.anon(0, 4);
    m.write(0);
    m.anon(8, 4);
    m.write(8);
    m.anon(4, 4);
    expect(m.vmas()).toHaveLength(2);
  });
});

describe("mremap", () => {
  test("an untouched mapping merges at its new place", () => {
    const m = machine();
    m.anon(0, 4);
    m.anon(16, 4);
    m.run(m.remap(16, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 4));
    expect(m.vmas()).toEqual(["0-8 rw"]);
  });

  test("dontunmap leaves the old mapping, empty", () => {
    const m = machine();
    m.anon(0, 4);
    m.writeAll(0, 4);
    expect(
      m
        .log(m.remap(0, 4, 4, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, 16))
        .filter((line) => line.startsWith("S")),
    ).toEqual(["S 0-4 UNMAP"]);
    expect(m.vmas()).toEqual(["0-4 rw", "16-20 rw"]);
    expect(m.states(0, 4)).toBe("none none none none");
    expect(m.states(16, 4)).toBe("rw rw rw rw");
  });

  test("whole page tables move as they are", () => {
    const m = machine();
    m.anon(512, 1024);
    m.writeAll(600, 3);
    const pages = [m.pfn(600), m.pfn(601), m.pfn(602)];
    m.run(m.remap(512, 1024, 1024, MREMAP_MAYMOVE | MREMAP_FIXED, 4096));
    expect([m.pfn(4184), m.pfn(4185), m.pfn(4186)]).toEqual(pages);
  });

  test("shared memory can be shown twice", () => {
    const m = machine();
    m.file(m.shmem(4), 0, 4);
    m.write(1, 7);
    m.run(m.remap(0, 0, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 16));
    expect(m.read(17)).toBe(7);
  });
});

describe("fork", () => {
  test("what the child unmaps stays with the parent", () => {
    const m = machine();
    m.anon(0, 4);
    m.writeAll(0, 4);
    const child = m.run(sysFork(m.k, m.t));
    const t = { cpu: 0, mm: child };
    expect(m.read(2, t)).toBe(3);
    m.write(2, 9, t);
    expect([m.read(2), m.read(2, t)]).toEqual([3, 9]);
    m.run(mmput(m.k, t));
    expect([0, 1, 2, 3].map((page) => m.read(page))).toEqual([1, 2, 3, 4]);
  });
});

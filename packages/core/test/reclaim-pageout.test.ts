import {
  INODE_SHMEM,
  MADV_COLD,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  PAGE_SIZE,
  sysFork,
  sysMadvise,
  sysSwapoff,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { MmMachine } from "./mm-machine.js";

const advise = (m: MmMachine, page: number, pages: number, advice: number) =>
  sysMadvise(m.k, m.t, m.at(page), pages * PAGE_SIZE, advice);

function written(profile: string, arch: string, pages = 2): MmMachine {
  const machine = new MmMachine(profile, arch);
  machine.anon(0, 8);
  machine.writeAll(0, pages);
  return machine;
}

describe("MADV_PAGEOUT of anonymous memory", () => {
  test.each(["arm64", "x86-64"])(
    "v6.4 on %s: asks for accesses, one range a page, and the gather of the aging flushes",
    (arch) => {
      const m = written("v6.4", arch);
      expect(m.log(advise(m, 0, 8, MADV_PAGEOUT))).toEqual([
        ...["Y 0-1", "S 0-1 CLEAR", "X 0-1", "E 0-1 CLEAR"],
        ...["Y 1-2", "S 1-2 CLEAR", "X 1-2", "E 1-2 CLEAR"],
        "X 0-2",
      ]);
      expect(m.states(0, 3)).toBe("swap swap none");
    },
  );

  test.each(["arm64", "x86-64"])("v6.12 on %s: nobody is asked, the hook hears the flush inside the range", (arch) => {
    const m = written("v6.12", arch);
    expect(m.log(advise(m, 0, 8, MADV_PAGEOUT))).toEqual([
      ...["S 0-1 CLEAR", "X 0-1", "E 0-1 CLEAR"],
      ...["S 1-2 CLEAR", "X 1-2", "E 1-2 CLEAR"],
    ]);
  });

  test("x86 with other CPUs puts flushes off and tells the hook that everything goes", () => {
    const m = new MmMachine("v6.12", "x86-64", { config: { cpus: 2 } });
    m.anon(0, 8);
    m.write(0);
    m.k.mms.setCpumask(m.t.mm, 0b11);
    expect(m.log(advise(m, 0, 1, MADV_PAGEOUT))).toEqual(["S 0-1 CLEAR", "X all", "E 0-1 CLEAR"]);
  });

  test("what was paged out reads back", () => {
    const m = written("v6.12", "arm64");
    m.run(advise(m, 0, 2, MADV_PAGEOUT));
    expect([m.read(0), m.read(1)]).toEqual([1, 2]);
  });

  test("pages that a child maps too are left alone", () => {
    const m = written("v6.12", "arm64");
    m.run(sysFork(m.k, m.t));
    expect(m.log(advise(m, 0, 8, MADV_PAGEOUT))).toEqual([]);
    expect(m.states(0, 2)).toBe("ro ro");
  });

  test("swapoff brings everything back, read-only and silently", () => {
    const m = written("v6.12", "arm64");
    m.run(advise(m, 0, 2, MADV_PAGEOUT));
    expect(m.log(sysSwapoff(m.k, m.t))).toEqual([]);
    expect(m.states(0, 2)).toBe("ro ro");
    expect(m.k.swap.segment.live).toBe(0);
    // The walk finds that the first pageout put flushes off, and flushes all; the pages stay, for nothing can take them.
    expect(m.log(advise(m, 0, 2, MADV_PAGEOUT))).toEqual(["X all"]);
  });
});

test("MADV_PAGEOUT of shmem: the cache keeps a swap slot", () => {
  const m = new MmMachine("v6.12", "x86-64");
  const file = m.shmem(8);
  m.file(file, 0, 8);
  m.write(3, 9);
  const inode = m.k.files.inode(file);
  expect(m.k.files.kind(inode)).toBe(INODE_SHMEM);
  expect(m.log(advise(m, 3, 1, MADV_PAGEOUT))).toEqual(["S 3-4 CLEAR", "X 3-4", "E 3-4 CLEAR"]);
  expect(m.k.files.cached(inode, 3)).toBeLessThan(0);
  expect(m.read(3)).toBe(9);
});

test("MADV_COLD makes entries old without a range; the hook hears the flush", () => {
  const m = written("v6.12", "x86-64");
  expect(m.log(advise(m, 0, 8, MADV_COLD))).toEqual(["X 0-2"]);
});

describe("a huge page is split before it is paged out", () => {
  function huge(profile: string, arch: string): MmMachine {
    const m = new MmMachine(profile, arch);
    m.anon(512, 512);
    m.run(advise(m, 512, 512, MADV_HUGEPAGE));
    m.write(512);
    return m;
  }

  test("v6.12: pages full of zeroes become the zero page, only what was written goes out", () => {
    const m = huge("v6.12", "arm64");
    expect(m.log(advise(m, 512, 512, MADV_PAGEOUT))).toEqual([
      ...["S 512-1024 CLEAR", "X 512-1024", "E 512-1024 CLEAR"],
      ...["S 512-1024 CLEAR", "E 512-1024 CLEAR"],
      ...["S 512-513 CLEAR", "X 512-513", "E 512-513 CLEAR"],
    ]);
    expect(m.states(512, 2)).toBe("swap ro");
  });

  test("v6.4: all pages go out, in ascending order", () => {
    const m = huge("v6.4", "x86-64");
    const log = m.log(advise(m, 512, 512, MADV_PAGEOUT));
    expect(log.slice(0, 9)).toEqual([
      ...["Y 512-1024", "S 512-1024 CLEAR", "E 512-1024 CLEAR only", "S 512-1024 CLEAR", "E 512-1024 CLEAR"],
      ...["S 512-513 CLEAR", "X 512-513", "E 512-513 CLEAR", "Y 513-514"],
    ]);
    expect(log.filter((line) => line.startsWith("S "))).toHaveLength(2 + 512);
  });
});

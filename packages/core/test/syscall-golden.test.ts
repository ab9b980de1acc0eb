import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  mmput,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  sysFork,
  sysMadvise,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { VmaMachine } from "./vma-machine.js";

/** What the subscriber and the CPUs' TLBs see: S/E start and end, X the event-less hook, F a flush of the CPUs. */
interface Row {
  readonly profile: string;
  readonly arch: string;
  readonly seen: readonly string[];
}

function written(row: Row, pages: number): VmaMachine {
  const m = new VmaMachine(row.profile, row.arch);
  m.anon(0, pages);
  m.writeAll(0, pages);
  // A mapping beside the arena keeps its upper page tables alive, as a real process's would.
  m.anon(3072, 1);
  m.write(3072);
  return m;
}

const titled = (rows: readonly Row[]): [string, Row][] => rows.map((row) => [`${row.profile} ${row.arch}`, row]);

describe("fork announces each copied-on-write VMA whole and flushes once, after all ends", () => {
  test.each(
    titled([
      {
        profile: "v6.4",
        arch: "arm64",
        seen: [
          "S 0-3 PROTECTION_PAGE",
          "E 0-3 PROTECTION_PAGE",
          "S 3072-3073 PROTECTION_PAGE",
          "E 3072-3073 PROTECTION_PAGE",
          "F all",
        ],
      },
      {
        profile: "v6.4",
        arch: "x86-64",
        seen: [
          "S 0-3 PROTECTION_PAGE",
          "E 0-3 PROTECTION_PAGE",
          "S 3072-3073 PROTECTION_PAGE",
          "E 3072-3073 PROTECTION_PAGE",
          "F all",
        ],
      },
      {
        profile: "v6.12",
        arch: "arm64",
        seen: [
          "S 0-3 PROTECTION_PAGE",
          "E 0-3 PROTECTION_PAGE",
          "S 3072-3073 PROTECTION_PAGE",
          "E 3072-3073 PROTECTION_PAGE",
          "F all",
          "X all",
        ],
      },
      {
        profile: "v6.12",
        arch: "x86-64",
        seen: [
          "S 0-3 PROTECTION_PAGE",
          "E 0-3 PROTECTION_PAGE",
          "S 3072-3073 PROTECTION_PAGE",
          "E 3072-3073 PROTECTION_PAGE",
          "F all",
          "X all",
        ],
      },
    ]),
  )("%s", (_, row) => {
    const m = written(row, 3);
    expect(m.timeline(sysFork(m.k, m.t))).toEqual(row.seen);
    expect(m.states(0, 3)).toBe("ro ro ro");
  });
});

describe("mprotect read-write to read-only flushes what it changed after the end", () => {
  const announced = (start: string, end: string): string[] => [`S ${start} PROTECTION_VMA`, `E ${end} PROTECTION_VMA`];
  test.each(
    titled([
      { profile: "v6.4", arch: "arm64", seen: [...announced("0-3", "0-3"), "F 0-3", "X 0-3"] },
      { profile: "v6.4", arch: "x86-64", seen: [...announced("0-3", "0-3"), "F 0-3", "X 0-3"] },
      { profile: "v6.12", arch: "arm64", seen: [...announced("0-3", "0-3"), "F 0-3", "X 0-3"] },
      { profile: "v6.12", arch: "x86-64", seen: [...announced("0-3", "0-3"), "F 0-3", "X 0-3"] },
    ]),
  )("%s", (_, row) => {
    const m = written(row, 3);
    expect(m.timeline(m.protect(0, 3, "r"))).toEqual(row.seen);
    expect(m.states(0, 3)).toBe("ro ro ro");
    expect(m.timeline(m.protect(0, 3, "rw"))).toEqual(row.seen);
    // Exclusive pages are writable again at once, inside the announced range.
    expect(m.states(0, 3)).toBe("rw rw rw");
  });

  test("the same rights change nothing and are not announced", () => {
    const m = written({ profile: "v6.12", arch: "arm64", seen: [] }, 3);
    expect(m.timeline(m.protect(0, 3, "rw"))).toEqual([]);
  });

  test("pages that a fork shared get their right back in a fault, not in mprotect", () => {
    const m = written({ profile: "v6.12", arch: "arm64", seen: [] }, 2);
    const child = m.run(sysFork(m.k, m.t));
    m.run(mmput(m.k, { cpu: 0, mm: child }));
    m.run(m.protect(0, 2, "r"));
    m.run(m.protect(0, 2, "rw"));
    expect(m.states(0, 2)).toBe("ro ro");
    m.write(0);
    expect(m.states(0, 2)).toBe("rw ro");
  });

  test("v5.10 makes nothing writable in mprotect", () => {
    const m = written({ profile: "v5.10", arch: "arm64", seen: [] }, 2);
    m.run(m.protect(0, 2, "r"));
    m.run(m.protect(0, 2, "rw"));
    expect(m.states(0, 2)).toBe("ro ro");
  });
});

describe("mprotect over nothing that is populated", () => {
  test.each([
    ["v6.4", []],
    ["v6.12", ["S 64-72 PROTECTION_VMA", "E 64-72 PROTECTION_VMA"]],
  ])("%s looks at the level its ranges are cut at", (profile, seen) => {
    // In the same gigabyte as a page that is mapped, in another table.
    const m = new VmaMachine(profile, "x86-64");
    m.anon(1024, 1);
    m.write(1024);
    m.anon(64, 8);
    expect(m.timeline(m.protect(64, 8, "r"))).toEqual(seen);
  });

  test("no page table at all: nobody hears", () => {
    const m = new VmaMachine("v6.12", "x86-64");
    m.anon(0, 8);
    expect(m.timeline(m.protect(0, 8, "r"))).toEqual([]);
  });
});

describe("ranges of mprotect are cut at borders of page tables", () => {
  const GIGABYTE = 2 ** 18;
  test.each([
    [
      "v6.4",
      [
        `S ${GIGABYTE - 1}-${GIGABYTE} PROTECTION_VMA`,
        `E ${GIGABYTE - 1}-${GIGABYTE} PROTECTION_VMA`,
        `S ${GIGABYTE}-${GIGABYTE + 1} PROTECTION_VMA`,
        `E ${GIGABYTE}-${GIGABYTE + 1} PROTECTION_VMA`,
      ],
    ],
    ["v6.12", [`S ${GIGABYTE - 1}-${GIGABYTE + 1} PROTECTION_VMA`, `E ${GIGABYTE - 1}-${GIGABYTE + 1} PROTECTION_VMA`]],
  ])("%s", (profile, seen) => {
    const m = new VmaMachine(profile, "x86-64");
    m.anon(GIGABYTE - 1, 2);
    m.writeAll(GIGABYTE - 1, 2);
    expect(m.timeline(m.protect(GIGABYTE - 1, 2, "r")).filter((line) => /^[SE]/.test(line))).toEqual(seen);
  });
});

describe("MADV_DONTNEED", () => {
  test.each(
    titled([
      { profile: "v6.4", arch: "arm64", seen: ["S 0-4 CLEAR", "F 0-3", "X 0-3", "E 0-4 CLEAR"] },
      { profile: "v6.4", arch: "x86-64", seen: ["S 0-4 CLEAR", "E 0-4 CLEAR", "F 0-3", "X 0-3"] },
      { profile: "v6.12", arch: "arm64", seen: ["S 0-4 CLEAR", "F 0-3", "X 0-3", "E 0-4 CLEAR"] },
      { profile: "v6.12", arch: "x86-64", seen: ["S 0-4 CLEAR", "E 0-4 CLEAR", "F 0-3", "X 0-3"] },
    ]),
  )("%s: arm64 flushes at the end of the VMA, x86 when the gather is finished", (_, row) => {
    const m = new VmaMachine(row.profile, row.arch);
    m.anon(0, 4);
    m.writeAll(0, 3);
    expect(m.timeline(sysMadvise(m.k, m.t, m.at(0), 4 * PAGE_SIZE, MADV_DONTNEED))).toEqual(row.seen);
    expect(m.states(0, 4)).toBe("none none none none");
  });

  test("MADV_FREE keeps the pages and the right to write", () => {
    const m = new VmaMachine("v6.12", "x86-64");
    m.anon(0, 4);
    m.writeAll(0, 4);
    expect(m.timeline(sysMadvise(m.k, m.t, m.at(0), 4 * PAGE_SIZE, MADV_FREE))).toEqual([
      "S 0-4 CLEAR",
      "E 0-4 CLEAR",
      "F 0-4",
      "X 0-4",
    ]);
    expect(m.states(0, 4)).toBe("rw rw rw rw");
  });
});

describe("munmap of two VMAs with a hole is one range, holes included", () => {
  test.each(
    titled([
      { profile: "v6.4", arch: "arm64", seen: ["S 0-8 UNMAP", "F 0-2", "X 0-2", "F 6-8", "X 6-8", "E 0-8 UNMAP"] },
      { profile: "v6.4", arch: "x86-64", seen: ["S 0-8 UNMAP", "E 0-8 UNMAP", "F 0-8", "X 0-8"] },
      { profile: "v6.12", arch: "arm64", seen: ["S 0-8 UNMAP", "F 0-2", "X 0-2", "F 6-8", "X 6-8", "E 0-8 UNMAP"] },
      { profile: "v6.12", arch: "x86-64", seen: ["S 0-8 UNMAP", "E 0-8 UNMAP", "F 0-8", "X 0-8"] },
    ]),
  )("%s", (_, row) => {
    const m = new VmaMachine(row.profile, row.arch);
    m.anon(0, 2);
    m.writeAll(0, 2);
    m.anon(6, 2);
    m.writeAll(6, 2);
    m.anon(16, 1);
    m.write(16);
    expect(m.timeline(m.unmap(0, 8))).toEqual(row.seen);
  });

  test("nothing mapped: nobody hears", () => {
    const m = new VmaMachine("v6.12", "x86-64");
    expect(m.timeline(m.unmap(0, 8))).toEqual([]);
  });
});

describe("mremap to a fixed place", () => {
  test.each(
    titled([
      { profile: "v6.4", arch: "arm64", seen: ["S 0-2 UNMAP", "F 0-2", "E 0-2 UNMAP", "S 0-2 UNMAP", "E 0-2 UNMAP"] },
      {
        profile: "v6.12",
        arch: "arm64",
        seen: ["S 0-2 UNMAP", "F 0-2", "X 0-2", "E 0-2 UNMAP", "S 0-2 UNMAP", "E 0-2 UNMAP"],
      },
      {
        profile: "v6.12",
        arch: "x86-64",
        seen: ["S 0-2 UNMAP", "F 0-2", "X 0-2", "E 0-2 UNMAP", "S 0-2 UNMAP", "E 0-2 UNMAP"],
      },
    ]),
  )("%s announces the old range twice and the new one never", (_, row) => {
    const m = written(row, 2);
    const before = [m.pfn(0), m.pfn(1)];
    expect(m.timeline(m.remap(0, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 100))).toEqual(row.seen);
    expect([m.pfn(100), m.pfn(101)]).toEqual(before);
    expect(m.states(0, 2)).toBe("none none");
  });
});

describe("munmap of part of a huge page splits it first", () => {
  test.each(
    titled([
      {
        profile: "v6.4",
        arch: "arm64",
        seen: [
          "S 512-1024 CLEAR",
          "F 512-1024",
          "E 512-1024 CLEAR only",
          "S 512-768 UNMAP",
          "F 512-768",
          "X 512-768",
          "E 512-768 UNMAP",
        ],
      },
      {
        profile: "v6.4",
        arch: "x86-64",
        seen: [
          "S 512-1024 CLEAR",
          "F all",
          "E 512-1024 CLEAR only",
          "S 512-768 UNMAP",
          "E 512-768 UNMAP",
          "F all",
          "X 512-768",
        ],
      },
      {
        profile: "v6.12",
        arch: "arm64",
        seen: [
          "S 512-1024 CLEAR",
          "F 512-1024",
          "X 512-1024",
          "E 512-1024 CLEAR",
          "S 512-768 UNMAP",
          "F 512-768",
          "X 512-768",
          "E 512-768 UNMAP",
        ],
      },
    ]),
  )("%s", (_, row) => {
    const m = new VmaMachine(row.profile, row.arch);
    m.anon(512, 512);
    m.run(sysMadvise(m.k, m.t, m.at(512), 512 * PAGE_SIZE, MADV_HUGEPAGE));
    m.write(512);
    const seen = m.timeline(m.unmap(512, 256)).filter((line) => line !== "");
    expect(seen).toEqual(row.seen);
  });

  test("a border in a block without a huge page is announced all the same", () => {
    const m = new VmaMachine("v6.12", "x86-64");
    m.anon(512, 512);
    m.write(600);
    expect(m.log(m.protect(512, 8, "r")).slice(0, 2)).toEqual(["S 512-1024 CLEAR", "E 512-1024 CLEAR"]);
  });
});

describe("exit", () => {
  test.each(["v6.4", "v6.12"])("%s releases before anything is unmapped, and leaves nothing behind", (profile) => {
    const m = new VmaMachine(profile, "arm64");
    m.anon(0, 4);
    m.writeAll(0, 4);
    const seen = m.timeline(mmput(m.k, m.t));
    expect(seen.slice(0, 3)).toEqual(["R all", "S all UNMAP", "E all UNMAP"]);
    expect(m.k.vmas.segment.live).toBe(0);
    expect(m.k.anonVmas.segment.live).toBe(0);
    // The row and its top-level table stay until the subscriber leaves.
    expect(m.k.tables.segment.live).toBe(1);
    expect(m.k.mms.segment.live).toBe(1);
    expect(m.k.pages.segment.live).toBe(1);
  });
});

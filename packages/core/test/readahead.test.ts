import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  PAGE_SIZE,
  sysFadviseDontneed,
  sysFallocate,
  sysPread,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { MmMachine } from "./mm-machine.js";

/** Folios of a file's cache as runs: first page, how many, order. */
function folios(m: MmMachine, file: number, pages: number): [number, number, number][] {
  const inode = m.k.files.inode(file);
  const runs: [number, number, number][] = [];
  for (let index = 0; index < pages;) {
    const pfn = m.k.files.cached(inode, index);
    const order = pfn > 0 ? m.k.pages.order(pfn) : -1;
    const last = runs.at(-1);
    if (last?.[2] === order) last[1]++;
    else runs.push([index, 1, order]);
    index += order < 0 ? 1 : 1 << order;
  }
  return runs.filter(([, , order]) => order >= 0);
}

function readPages(m: MmMachine, file: number, indices: readonly number[]): void {
  for (const index of indices) m.run(sysPread(m.k, m.t, file, index * PAGE_SIZE));
}

describe("read(2) page by page, as page_cache_ra_order() and mm_filemap_add_to_page_cache showed it on Linux 6.18.44", () => {
  const config = { readAheadPages: 2048 };

  test("a series from the start of the file on gets larger and larger folios", () => {
    const m = new MmMachine("v6.18", "x86-64", { config });
    const file = m.disk(600);
    readPages(
      m,
      file,
      Array.from({ length: 600 }, (_, index) => index),
    );
    expect(folios(m, file, 600)).toEqual([
      ...[
        [0, 4, 0],
        [4, 5, 2],
        [24, 1, 3],
        [32, 4, 4],
        [96, 1, 5],
        [128, 4, 6],
        [384, 1, 7],
      ],
      ...[
        [512, 1, 6],
        [576, 1, 4],
        [592, 1, 3],
      ],
    ]);
  });

  test("a page by itself is read alone, the page behind it begins a series", () => {
    const m = new MmMachine("v6.18", "x86-64", { config });
    const file = m.disk(600);
    readPages(m, file, [5, 6, 7, 8, 20, 21, 22, 23, 24]);
    expect(folios(m, file, 600)).toEqual([
      [5, 5, 0],
      [10, 1, 1],
      [12, 3, 2],
      [24, 4, 0],
    ]);
  });

  test("a file system without large folios gets the same windows in single pages", () => {
    const m = new MmMachine("v6.12", "x86-64", { config });
    const file = m.disk(600);
    readPages(m, file, [5, 6, 7]);
    expect(folios(m, file, 600)).toEqual([[5, 21, 0]]);
  });
});

describe("a fault that reads ahead", () => {
  test.each(["v5.10", "v6.12", "v6.18"])(
    "%s: maps a hole at once, what the disk has only when it was waited for",
    (kernel) => {
      const m = new MmMachine(kernel, "x86-64");
      const file = m.disk(16);
      m.run(sysFallocate(m.k, m.t, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE_SIZE, 2 * PAGE_SIZE));
      m.file(file, 0, 16);
      m.read(4);
      expect(m.states(3, 4)).toBe("none ro ro none");
      m.read(6);
      expect(m.states(3, 4)).toBe("ro ro ro ro");
    },
  );

  test("waits for the page of the fault, and with it for all that was asked for", () => {
    const m = new MmMachine("v6.18", "x86-64");
    const file = m.disk(16);
    m.file(file, 0, 16);
    m.read(4);
    expect(m.states(3, 4)).toBe("ro ro ro ro");
  });

  test("what is dropped and read again does not stay on its way", () => {
    const m = new MmMachine("v6.18", "x86-64");
    const file = m.disk(16);
    m.run(sysFallocate(m.k, m.t, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE_SIZE, PAGE_SIZE));
    m.file(file, 4, 1, "shared", 4);
    m.read(4);
    expect(m.k.diskReads.pending).toBe(true);
    m.run(sysFadviseDontneed(m.k, m.t, file));
    m.run(sysPread(m.k, m.t, file, 5 * PAGE_SIZE));
    expect(m.k.diskReads.pending).toBe(false);
    m.file(file, 5, 1, "shared", 5);
    expect(m.read(5)).toBe(105);
  });
});

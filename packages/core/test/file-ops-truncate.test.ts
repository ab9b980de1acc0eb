import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  PAGE_SIZE,
  sysFallocate,
  sysFsync,
  sysFtruncate,
  sysPread,
  sysPwrite,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { MmMachine } from "./mm-machine.js";

const PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

describe("ftruncate", () => {
  test.each([
    ["v6.4", "x86-64"],
    ["v6.12", "x86-64"],
    ["v6.4", "arm64"],
    ["v6.12", "arm64"],
  ])("%s on %s: each mapping hears of the pages before and after they leave the cache", (profile, arch) => {
    const m = new MmMachine(profile, arch);
    const file = m.disk(8);
    m.file(file, 0, 8);
    m.writeAll(0, 8);
    expect(m.log(sysFtruncate(m.k, m.t, file, 3 * PAGE_SIZE))).toEqual([
      ...["S 3-8 CLEAR", "X 3-8", "E 3-8 CLEAR"],
      ...["S 3-8 CLEAR", "E 3-8 CLEAR"],
    ]);
    expect(m.states(2, 2)).toBe("rw none");
  });

  test("private copies of the pages go as well", () => {
    const m = new MmMachine("v6.12", "x86-64");
    const file = m.shmem(8);
    m.file(file, 0, 8, "private");
    m.write(5);
    expect(m.log(sysFtruncate(m.k, m.t, file, 2 * PAGE_SIZE))[0]).toBe("S 2-8 CLEAR");
    expect(m.state(5)).toBe("none");
  });

  test("a file that gets longer notifies nobody", () => {
    const m = new MmMachine("v6.12", "x86-64");
    const file = m.disk(8);
    m.file(file, 0, 8);
    m.writeAll(0, 8);
    expect(m.log(sysFtruncate(m.k, m.t, file, 16 * PAGE_SIZE))).toEqual([]);
  });
});

describe("punching holes", () => {
  test("v6.4: a disk file is written back first, which protects its dirty pages", () => {
    const m = new MmMachine("v6.4", "x86-64");
    const file = m.disk(8);
    m.file(file, 0, 8);
    m.write(0);
    expect(m.log(sysFallocate(m.k, m.t, file, PUNCH, 0, 2 * PAGE_SIZE))).toEqual([
      ...["S 0-1 PROTECTION_PAGE", "E 0-1 PROTECTION_PAGE"],
      ...["S 0-2 CLEAR", "E 0-2 CLEAR", "X 0-1"],
    ]);
  });

  test("v6.12: one range a mapping, private copies stay", () => {
    const m = new MmMachine("v6.12", "arm64");
    const file = m.disk(8);
    m.file(file, 0, 8);
    m.file(file, 16, 8, "private");
    m.write(0);
    m.write(16);
    expect(m.log(sysFallocate(m.k, m.t, file, PUNCH, 0, 2 * PAGE_SIZE))).toEqual([
      ...["S 0-2 CLEAR", "X 0-1", "E 0-2 CLEAR"],
      ...["S 16-18 CLEAR", "E 16-18 CLEAR"],
    ]);
    expect(m.state(16)).toBe("rw");
    expect(m.read(0)).toBe(0);
  });

  test("memory files refuse to zero ranges", () => {
    const m = new MmMachine("v6.12", "arm64");
    expect(m.run(sysFallocate(m.k, m.t, m.shmem(8), FALLOC_FL_ZERO_RANGE, 0, PAGE_SIZE))).toBe(-95);
  });
});

test("pwrite makes the cached page dirty, fsync brings it to the disk, pread sees it", () => {
  const m = new MmMachine("v6.12", "arm64");
  const file = m.disk(8);
  expect(m.run(sysPwrite(m.k, m.t, file, 2 * PAGE_SIZE, 77))).toBe(1);
  expect(m.run(sysPread(m.k, m.t, file, 2 * PAGE_SIZE))).toBe(77);
  m.run(sysFsync(m.k, m.t, file));
  expect(m.k.files.stored(m.k.files.inode(file), 2)).toBe(77);
});

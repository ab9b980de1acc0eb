import {
  MADV_HUGEPAGE,
  makeDeviceExclusive,
  migrateVma,
  PAGE_SIZE,
  pinUserPages,
  sysFork,
  sysMadvise,
  sysMbind,
  sysMovePages,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { BASE, MmMachine } from "./mm-machine.js";

function written(profile: string, arch: string, pages = 2): MmMachine {
  const m = new MmMachine(profile, arch, { config: { nodes: 2 } });
  m.anon(0, 8);
  m.writeAll(0, pages);
  return m;
}

const bind = (m: MmMachine, pages: number, node: number) => sysMbind(m.k, m.t, m.at(0), pages * PAGE_SIZE, node);

describe("mbind moves pages", () => {
  test.each(["arm64", "x86-64"])("v6.4 on %s: one range a page, the hook from its end", (arch) => {
    const m = written("v6.4", arch);
    const before = m.pfn(0);
    expect(m.log(bind(m, 8, 1))).toEqual(["S 0-1 CLEAR", "E 0-1 CLEAR", "S 1-2 CLEAR", "E 1-2 CLEAR"]);
    expect(m.states(0, 2)).toBe("rw rw");
    expect(m.pfn(0)).not.toBe(before);
    expect(m.k.pages.node(m.pfn(0))).toBe(1);
    expect(m.read(1)).toBe(2);
  });

  test.each(["arm64", "x86-64"])("v6.12 on %s: the flush tells the hook", (arch) => {
    const m = written("v6.12", arch);
    expect(m.log(bind(m, 8, 1))).toEqual([
      "S 0-1 CLEAR",
      "X 0-1",
      "E 0-1 CLEAR",
      "S 1-2 CLEAR",
      "X 1-2",
      "E 1-2 CLEAR",
    ]);
  });

  test("a pinned page is announced ten times and stays", () => {
    const m = written("v6.12", "x86-64", 1);
    const before = m.pfn(0);
    m.run(pinUserPages(m.k, m.t, BASE, 1));
    expect(m.log(bind(m, 1, 1)).filter((line) => line.startsWith("S"))).toHaveLength(10);
    expect(m.pfn(0)).toBe(before);
    expect(m.state(0)).toBe("rw");
  });

  test("pages of several processes stay where they are", () => {
    const m = written("v6.12", "x86-64");
    m.run(sysFork(m.k, m.t));
    expect(m.log(bind(m, 8, 1))).toEqual([]);
  });
});

test("move_pages takes a huge page whole", () => {
  const m = new MmMachine("v6.12", "x86-64", { config: { nodes: 2 } });
  m.anon(512, 512);
  m.run(sysMadvise(m.k, m.t, m.at(512), 512 * PAGE_SIZE, MADV_HUGEPAGE));
  m.write(512);
  const status: number[] = [];
  expect(m.log(sysMovePages(m.k, m.t, [m.at(512), m.at(0)], 1, status))).toEqual([
    "S 512-1024 CLEAR",
    "X all",
    "E 512-1024 CLEAR",
  ]);
  expect(status).toEqual([1, -14]);
  expect(m.read(512)).toBe(1);
});

describe("memory for devices", () => {
  test("migrate_vma: one MIGRATE range, then one for the holes from the first on", () => {
    const m = written("v7.3", "x86-64");
    m.read(2);
    const log = m.log(migrateVma(m.k, m.t, BASE, BASE + 4, 9));
    expect(log).toEqual([
      ...["S 0-4 MIGRATE", "X 0-1", "X 1-2", "X 0-4", "E 0-4 MIGRATE"],
      ...["S 2-4 MIGRATE", "X 2-3", "E 2-4 MIGRATE"],
    ]);
    expect(m.states(0, 4)).toBe("rw rw rw rw");
  });

  test("make_device_exclusive: the CPU's next access is announced and gets the page back", () => {
    const m = written("v7.3", "x86-64");
    expect(m.log(makeDeviceExclusive(m.k, m.t, BASE, 9))).toEqual(["S 0-1 EXCLUSIVE", "X 0-1", "E 0-1 EXCLUSIVE"]);
    expect(m.state(0)).toBe("swap");
    expect(m.read(0)).toBe(1);
    expect(m.state(0)).toBe("rw");
  });
});

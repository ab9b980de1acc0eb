import {
  clearRefs,
  PAGE_SIZE,
  pagemapScan,
  sysUserfaultfd,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_ASYNC,
  uffdCopy,
  uffdMove,
  uffdRegister,
  uffdUnregister,
  uffdWriteprotect,
  uffdZeropage,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { MmMachine } from "./mm-machine.js";

function registered(profile: string, modes: { missing?: boolean; wp?: boolean }, features = UFFD_FEATURE_SIGBUS) {
  const m = new MmMachine(profile, "x86-64");
  m.anon(0, 8);
  m.writeAll(0, 2);
  const uffd = m.run(sysUserfaultfd(m.k, m.t, features));
  const all = { missing: false, wp: false, minor: false, ...modes };
  expect(m.log(uffdRegister(m.k, m.t, uffd, m.at(0), 8 * PAGE_SIZE, all))).toEqual([]);
  return { m, uffd };
}

describe("userfaultfd write protection", () => {
  test("v6.12: protecting and lifting are changes of protection; exclusive pages are writable again at once", () => {
    const { m } = registered("v6.12", { wp: true });
    expect(m.log(uffdWriteprotect(m.k, m.t, m.at(0), 8 * PAGE_SIZE, true))).toEqual([
      "S 0-8 PROTECTION_VMA",
      "E 0-8 PROTECTION_VMA",
      "X 0-2",
    ]);
    expect(m.write(0)).toBeLessThan(0);
    expect(m.log(uffdWriteprotect(m.k, m.t, m.at(0), PAGE_SIZE, false))).toEqual([
      "S 0-1 PROTECTION_VMA",
      "E 0-1 PROTECTION_VMA",
      "X 0-1",
    ]);
    expect(m.states(0, 2)).toBe("rw ro");
  });

  test("v6.1: lifting leaves the page read-only until it faults, so there is nothing to flush", () => {
    const { m } = registered("v6.1", { wp: true });
    m.run(uffdWriteprotect(m.k, m.t, m.at(0), 8 * PAGE_SIZE, true));
    expect(m.log(uffdWriteprotect(m.k, m.t, m.at(0), PAGE_SIZE, false))).toEqual([
      "S 0-1 PROTECTION_VMA",
      "E 0-1 PROTECTION_VMA",
    ]);
    expect(m.state(0)).toBe("ro");
  });

  test("unregistering lifts what is left, under a range of its own", () => {
    const { m, uffd } = registered("v6.12", { wp: true });
    expect(m.log(uffdUnregister(m.k, m.t, uffd, m.at(0), 8 * PAGE_SIZE))).toEqual([
      "S 0-8 PROTECTION_VMA",
      "E 0-8 PROTECTION_VMA",
    ]);
  });
});

test("filling missing pages notifies nobody, and not twice", () => {
  const { m } = registered("v6.12", { missing: true });
  expect(m.log(uffdCopy(m.k, m.t, m.at(4), 42, false))).toEqual([]);
  expect(m.log(uffdZeropage(m.k, m.t, m.at(5), PAGE_SIZE))).toEqual([]);
  expect([m.read(4), m.read(5)]).toEqual([42, 0]);
  expect(m.run(uffdCopy(m.k, m.t, m.at(4), 1, false))).toBe(-17);
});

test.each([
  ["v6.12", ["S 0-1 CLEAR", "X 0-1", "E 0-1 CLEAR", "S 1-2 CLEAR", "X 1-2", "E 1-2 CLEAR"]],
  ["v6.18", ["S 0-2 CLEAR", "X 0-2", "E 0-2 CLEAR"]],
])("%s: UFFDIO_MOVE announces the source", (profile, expected) => {
  const { m } = registered(profile, { missing: true });
  expect(m.log(uffdMove(m.k, m.t, m.at(4), m.at(0), 2 * PAGE_SIZE))).toEqual(expected);
  expect([m.read(4), m.read(5)]).toEqual([1, 2]);
});

test("PAGEMAP_SCAN protects what was written and announces even nothing", () => {
  const { m } = registered("v6.12", { wp: true }, UFFD_FEATURE_WP_ASYNC);
  expect(m.run(pagemapScan(m.k, m.t, m.at(0), 8 * PAGE_SIZE))).toBe(1);
  m.write(1);
  expect(m.run(pagemapScan(m.k, m.t, m.at(0), 8 * PAGE_SIZE))).toBe(1);
  expect(m.log(pagemapScan(m.k, m.t, m.at(0), 8 * PAGE_SIZE))).toEqual([
    "S 0-8 PROTECTION_VMA",
    "E 0-8 PROTECTION_VMA",
  ]);
});

test("clear_refs: 4 announces everything, with or without a soft-dirty bit; 1 nothing", () => {
  for (const softDirty of [false, true]) {
    const m = new MmMachine("v6.12", "x86-64", { config: { softDirty } });
    m.anon(0, 4);
    m.write(0);
    expect(m.log(clearRefs(m.k, m.t, 4))).toEqual(["S all SOFT_DIRTY", "E all SOFT_DIRTY", "X all"]);
    expect(m.state(0)).toBe(softDirty ? "ro" : "rw");
    expect(m.log(clearRefs(m.k, m.t, 1))).toEqual([]);
    expect(m.run(clearRefs(m.k, m.t, 9))).toBe(-22);
  }
});

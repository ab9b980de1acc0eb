import {
  MADV_COLLAPSE,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  PAGE_SIZE,
  sysMadvise,
  sysProcessMrelease,
  ksmRun,
} from "@mmu-notifier/core";
import { describe, expect, test } from "vitest";
import { MmMachine } from "./mm-machine.js";

const advise = (m: MmMachine, page: number, pages: number, advice: number) =>
  sysMadvise(m.k, m.t, m.at(page), pages * PAGE_SIZE, advice);

describe("KSM", () => {
  function twins(profile: string): MmMachine {
    const m = new MmMachine(profile, "x86-64");
    m.anon(0, 4);
    for (let page = 0; page < 3; page++) m.write(page, 7);
    m.run(advise(m, 0, 4, MADV_MERGEABLE));
    return m;
  }

  test("v6.4: twice a page, protected and then replaced, each with change_pte; the first page of a node once", () => {
    const m = twins("v6.4");
    const half = (page: number) => [
      `S ${page}-${page + 1} CLEAR`,
      `C ${page}-${page + 1 / PAGE_SIZE}`,
      `E ${page}-${page + 1} CLEAR`,
    ];
    expect(m.log(ksmRun(m.k, m.t))).toEqual([...half(1), ...half(0), ...half(0), ...half(2), ...half(2)]);
  });

  test("v6.12: the same without change_pte", () => {
    const m = twins("v6.12");
    const half = (page: number) => [
      `S ${page}-${page + 1} CLEAR`,
      `X ${page}-${page + 1}`,
      `E ${page}-${page + 1} CLEAR`,
    ];
    expect(m.log(ksmRun(m.k, m.t))).toEqual([...half(1), ...half(0), ...half(0), ...half(2), ...half(2)]);
    expect(new Set([m.pfn(0), m.pfn(1), m.pfn(2)]).size).toBe(1);
    expect(m.k.pages.refcount(m.pfn(0))).toBe(3);
    m.write(0, 8);
    expect([m.read(0), m.read(1)]).toEqual([8, 7]);
    expect(m.log(advise(m, 0, 4, MADV_UNMERGEABLE))).toEqual([...half(1), ...half(2)]);
    expect(new Set([m.pfn(0), m.pfn(1), m.pfn(2)]).size).toBe(3);
  });
});

describe("MADV_COLLAPSE", () => {
  test.each([
    ["v6.4", "arm64", ["S 512-1024 CLEAR", "E 512-1024 CLEAR"]],
    ["v6.12", "x86-64", ["S 512-1024 CLEAR", "X all", "E 512-1024 CLEAR"]],
  ])("%s on %s: the block is announced while its table goes", (profile, arch, expected) => {
    const m = new MmMachine(profile, arch);
    m.anon(512, 512);
    m.write(513, 5);
    m.run(advise(m, 512, 512, MADV_HUGEPAGE));
    const live = m.k.tables.segment.live;
    expect(m.log(advise(m, 512, 512, MADV_COLLAPSE))).toEqual(expected);
    expect(m.read(513)).toBe(5);
    expect(m.k.tables.segment.live).toBe(live - 1);
    expect(m.log(advise(m, 512, 512, MADV_COLLAPSE))).toEqual([]);
  });

  test("shmem: mapped pages one by one, then the table", () => {
    const m = new MmMachine("v6.18", "x86-64");
    const file = m.shmem(512);
    m.file(file, 0, 512);
    m.writeAll(0, 2);
    const starts = m.log(advise(m, 0, 512, MADV_COLLAPSE)).filter((line) => line.startsWith("S"));
    expect(starts).toEqual(["S 0-1 CLEAR", "S 1-2 CLEAR", "S 0-512 CLEAR"]);
    expect(m.read(1)).toBe(2);
  });
});

describe("process_mrelease", () => {
  test.each([
    ["v6.4", "MMU_NOTIFY_UNMAP"],
    ["v6.12", "MMU_NOTIFY_UNMAP"],
    ["v7.3", "MMU_NOTIFY_CLEAR"],
  ])("%s: the only range that may not sleep, %s", (profile, event) => {
    const m = new MmMachine(profile, "x86-64");
    m.anon(0, 8);
    m.write(0);
    const calls: { readonly call: string; readonly event?: string; readonly flags?: number }[] = [];
    m.k.bus.calls.subscribe((item) => calls.push(item));
    expect(m.run(sysProcessMrelease(m.k, m.t))).toBe(0);
    expect(calls.find(({ call }) => call === "invalidate_range_start")).toMatchObject({ event, flags: 0 });
    expect(m.state(0)).toBe("none");
  });
});

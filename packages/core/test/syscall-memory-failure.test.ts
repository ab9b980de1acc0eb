import {
  decodeSignal,
  EPERM,
  MADV_HUGEPAGE,
  MADV_HWPOISON,
  MADV_SOFT_OFFLINE,
  mmput,
  PAGE_SIZE,
  SIGBUS,
  sysMadvise,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { describe, expect, test } from "vitest";
import { VmaMachine } from "./vma-machine.js";

const advise = (m: VmaMachine, page: number, advice: number, pages = 1): Path<number> =>
  sysMadvise(m.k, m.t, m.at(page), pages * PAGE_SIZE, advice);

describe("a page that breaks", () => {
  test.each([
    ["v6.1", ["S 1-2 CLEAR", "E 1-2 CLEAR"]],
    ["v6.12", ["S 1-2 CLEAR", "X 1-2", "E 1-2 CLEAR"]],
  ])("%s: MADV_HWPOISON takes its entry away, and who touches it gets SIGBUS", (profile, heard) => {
    const m = new VmaMachine(profile, "arm64");
    m.anon(0, 4);
    m.writeAll(0, 4);
    expect(m.log(advise(m, 1, MADV_HWPOISON))).toEqual(heard);
    expect(decodeSignal(m.read(1))?.signal).toBe(SIGBUS);
    expect(m.read(0)).toBe(1);
    m.run(mmput(m.k, m.t));
    // The broken frame is never used again.
    expect(m.k.pages.segment.live).toBe(2);
  });

  test("MADV_SOFT_OFFLINE moves the contents, and the right to write with them", () => {
    const m = new VmaMachine("v6.12", "x86-64");
    m.anon(0, 4);
    m.writeAll(0, 4);
    const before = m.pfn(1);
    expect(m.log(advise(m, 1, MADV_SOFT_OFFLINE))).toEqual(["S 1-2 CLEAR", "X 1-2", "E 1-2 CLEAR"]);
    expect(m.pfn(1)).not.toBe(before);
    expect([m.read(1), m.state(1)]).toEqual([2, "rw"]);
  });

  test("in a huge page, only its own part is lost", () => {
    const m = new VmaMachine("v6.12", "x86-64");
    m.anon(512, 512);
    m.run(advise(m, 512, MADV_HUGEPAGE, 512));
    m.write(600, 5);
    expect(m.log(advise(m, 700, MADV_HWPOISON))[0]).toBe("S 512-1024 CLEAR");
    expect(decodeSignal(m.read(700))?.signal).toBe(SIGBUS);
    expect(m.read(600)).toBe(5);
  });

  test("is for administrators", () => {
    const m = new VmaMachine("v6.12", "x86-64", { privileged: false });
    m.anon(0, 1);
    expect(m.run(advise(m, 0, MADV_HWPOISON))).toBe(-EPERM);
  });
});

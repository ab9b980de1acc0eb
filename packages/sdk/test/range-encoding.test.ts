import { describe, expect, it } from "vitest";
import { alignedSpan, atcInvRange, mnemonicOf, tlbiRange } from "../src/index.js";

const commands = (pages: number, ril: boolean, leaf = false) => tlbiRange(1, 1000, 1000 + pages, { ril, leaf });

describe("tlbiRange", () => {
  it.each([
    [1, 1, [2]],
    [33, 1, [34]],
    [511, 2, [31, 480]],
    [513, 2, [2, 512]],
    [512, 1, [512]],
    [31, 1, [31]],
    [32, 1, [32]],
  ])("covers %i pages with RIL in %i commands", (pages, count, covered) => {
    const list = commands(pages, true);

    expect(list.map((c) => c.pages)).toEqual(covered);
    expect(list).toHaveLength(count);
    expect(list[0]!.start).toBe(1000);
  });

  it("has no longer range than asked for when only leaves changed", () => {
    expect(commands(1, true, true).map((c) => c.pages)).toEqual([1]);
    expect(commands(33, true, true).map((c) => c.pages)).toEqual([1, 32]);
  });

  it("covers every page of a range, in order and without a gap, and at most one more", () => {
    for (let pages = 1; pages <= 5000; pages++) {
      let at = 1000;
      for (const command of commands(pages, true)) {
        expect(command.start).toBe(at);
        at += command.pages;
      }
      expect(at - 1000 - pages).toBeGreaterThanOrEqual(0);
      expect(at - 1000 - pages).toBeLessThanOrEqual(1);
    }
  });

  it.each([
    [1, "CMD_TLBI_NH_VA", 1],
    [511, "CMD_TLBI_NH_VA", 511],
    [512, "CMD_TLBI_NH_ASID", 1],
    [513, "CMD_TLBI_NH_ASID", 1],
  ])("without RIL is for %i pages %s, %i times", (pages, mnemonic, count) => {
    const list = commands(pages, false);

    expect(list).toHaveLength(count);
    expect(mnemonicOf(list[0]!.opcode)).toBe(mnemonic);
  });

  it("is an ASID invalidation for the whole address space, with RIL too", () => {
    expect(tlbiRange(1, 0, Infinity, { ril: true }).map((c) => mnemonicOf(c.opcode))).toEqual(["CMD_TLBI_NH_ASID"]);
  });
});

describe("alignedSpan", () => {
  it.each([
    [7, 9, 0, 16],
    [7, 8, 7, 1],
    [8, 10, 8, 2],
    [9, 11, 8, 4],
    [512, 1024, 512, 512],
    [0, Infinity, 0, Infinity],
  ])("of pages [%i, %i) begins at %i and has %i pages", (start, end, from, pages) => {
    expect(alignedSpan(start, end)).toEqual({ start: from, pages });
  });

  it("is what an ATC_INV carries", () => {
    expect(atcInvRange(2, 5, 7, 9)).toMatchObject({ id: 2, arg: 5, start: 0, pages: 16 });
  });
});

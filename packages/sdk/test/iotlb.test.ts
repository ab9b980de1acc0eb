import type { Path } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  AccessRequest,
  F_PERMISSION,
  type HitPolicy,
  iotlb,
  LEAF_READ,
  LEAF_WRITE,
  type NextStage,
  packLeaf,
  SdkError,
  type TlbShape,
} from "../src/index.js";
import { hardware } from "./context.js";

const RO = (pfn: number, level = 0) => packLeaf(pfn, level, LEAF_READ);
const RW = (pfn: number, level = 0) => packLeaf(pfn, level, LEAF_READ | LEAF_WRITE);
const NOBODY = { peek: () => 0 };

function setUp(shape: Partial<TlbShape> & { hitPolicy?: HitPolicy } = {}) {
  const bench = hardware();
  const tlb = iotlb(bench.context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb", ...shape });
  const stages = new Map([1, 2].map((asid) => [asid, tlb.stage(() => asid, NOBODY)]));
  const access = (asid: number, vpn: number, leaf: number, write = false, ats = false) => {
    let walks = 0;
    const next: NextStage = function* (): Path<number> {
      walks++;
      return leaf;
    };
    const request = new AccessRequest(vpn, write, ats);
    const result = bench.scheduler.run(stages.get(asid)!.translate(request, next));
    if (result > 0 && !ats) request.held.end();
    return { result, walks };
  };
  return { ...bench, tlb, access };
}

describe("Iotlb", () => {
  it("serves a page that a walk brought in, and asks the page table for others", () => {
    const { access } = setUp();

    expect(access(1, 5, RO(9))).toEqual({ result: RO(9), walks: 1 });
    expect(access(1, 5, RO(99))).toEqual({ result: RO(9), walks: 0 });
    expect(access(1, 6, RO(10)).walks).toBe(1);
  });

  it("keeps address spaces apart", () => {
    const { access } = setUp();
    access(1, 5, RO(9));

    expect(access(2, 5, RO(20))).toEqual({ result: RO(20), walks: 1 });
  });

  it("drops every entry that overlaps the range, of whatever size (T9)", () => {
    const { access, tlb } = setUp();
    access(1, 512 + 7, RO(1000 + 7, 1));
    expect(tlb.entries(1)).toMatchObject([{ vpn: 512, pages: 512, pfn: 1000 }]);
    expect(access(1, 600, RO(1)).result).toBe(RO(1088, 1));

    expect(tlb.invalidateVA(1, 1023)).toBe(1);

    expect(tlb.entries(1)).toEqual([]);
  });

  it("caches only the base page of a block when blocks are splintered", () => {
    const { access, tlb } = setUp({ blocks: "splintered" });
    access(1, 519, RO(1007, 1));
    access(1, 520, RO(1008, 1));

    expect(tlb.entries(1)).toMatchObject([
      { vpn: 519, pages: 1 },
      { vpn: 520, pages: 1 },
    ]);
    expect(tlb.invalidateVA(1, 519)).toBe(1);
  });

  it("invalidates by VA, by range, by ASID and all", () => {
    const { access, tlb } = setUp();
    const fill = () => {
      tlb.invalidateAll();
      access(1, 1, RO(11));
      access(1, 2, RO(12));
      access(1, 3, RO(13));
      access(2, 1, RO(21));
    };
    const left = () => [...tlb.entries(1), ...tlb.entries(2)].map(({ pfn }) => pfn);

    fill();
    tlb.invalidateVA(1, 2);
    expect(left()).toEqual([11, 13, 21]);
    fill();
    tlb.invalidateRange(1, 2, 4);
    expect(left()).toEqual([11, 21]);
    fill();
    tlb.invalidateASID(1);
    expect(left()).toEqual([21]);
    fill();
    tlb.invalidateAll();
    expect(left()).toEqual([]);
  });

  it("replaces the ways of a set in turn when it is full", () => {
    const { access, tlb } = setUp({ sets: 2, ways: 1 });
    access(1, 0, RO(10));
    access(1, 1, RO(11));
    access(1, 2, RO(12));

    expect(tlb.entries(1).map(({ vpn }) => vpn)).toEqual([2, 1]);
  });

  it("does not cache what a walk could not translate", () => {
    const { access, tlb } = setUp();

    access(1, 5, -0x10);

    expect(tlb.entries(1)).toEqual([]);
  });

  it.each([
    ["fault-from-tlb", { result: F_PERMISSION, walks: 0 }, 1],
    ["drop-and-fault", { result: F_PERMISSION, walks: 0 }, 0],
    ["rewalk-on-permission-fault", { result: RW(9), walks: 1 }, 1],
    ["nondeterministic", { result: F_PERMISSION, walks: 0 }, 1],
  ] as const)("under %s answers a write to a read-only entry", (hitPolicy, expected, entries) => {
    const { access, tlb } = setUp({ hitPolicy });
    access(1, 5, RO(9));

    expect(access(1, 5, RW(9), true)).toEqual(expected);
    expect(tlb.entries(1)).toHaveLength(entries);
  });

  it("answers a translation request from a read-only entry without a fault: the right is just missing", () => {
    const { access, tlb } = setUp();
    access(1, 5, RO(9));

    expect(access(1, 5, RW(9), true, true)).toEqual({ result: RO(9), walks: 0 });
    expect(tlb.inFlight.count).toBe(0);
  });

  it("caches a leaf that refuses the access which walked for it", () => {
    const { access, tlb } = setUp();

    expect(access(1, 5, RO(9), true).result).toBe(F_PERMISSION);
    expect(tlb.entries(1)).toHaveLength(1);
    expect(tlb.inFlight.count).toBe(0);
  });

  it("refuses a shape that no cache has", () => {
    const { context } = hardware();

    expect(() => iotlb(context, { sets: 3, ways: 1 })).toThrow(SdkError);
    expect(() => iotlb(context, { sets: 1, ways: 0 })).toThrow("1 sets of 0 ways");
  });
});

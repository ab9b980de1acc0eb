import { TINY } from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  AccessRequest,
  atc,
  atcInv,
  type Command,
  HIT_POLICIES,
  iotlb,
  isSpurious,
  LEAF_READ,
  LEAF_WRITE,
  onMissingRight,
  packLeaf,
  resume,
  tlbiNhAll,
  tlbiNhAsid,
  tlbiNhVa,
  tlbTarget,
  type TranslationStage,
  WalkCache,
} from "../src/index.js";
import { hardware } from "./context.js";

function setUp() {
  const { context, scheduler } = hardware(TINY);
  const shape = { sets: 1, ways: 8, hitPolicy: "fault-from-tlb" } as const;
  const levels = [iotlb(context, shape), iotlb(context, shape)];
  const ids = [
    [0, 1],
    [0, 2],
    [1, 1],
  ] as const;
  const atcs = ids.map(([sid, ssid]) => atc(context, { ...shape, sid, ssid }));
  const timeouts: number[] = [];
  const others: Command[] = [];
  const target = tlbTarget({
    iotlbs: levels,
    atcs,
    timedOut: () => timeouts.push(1),
    other: (command) => others.push(command),
  });
  const use = (stage: TranslationStage, vpn: number): AccessRequest => {
    const request = new AccessRequest(vpn, false);
    scheduler.run(
      stage.translate(request, function* (): Path<number> {
        return packLeaf(40 + vpn, 0, LEAF_READ);
      }),
    );
    return request;
  };
  const fill = (): void => {
    for (const level of levels)
      for (const asid of [1, 2])
        for (const vpn of [4, 5, 6])
          use(
            level.stage(() => asid, { peek: () => 0 }),
            vpn,
          ).held.end();
    for (const cache of atcs) for (const vpn of [4, 5, 6]) use(cache, vpn).held.end();
  };
  const held = (): string =>
    [...levels.flatMap((level) => [level.entries(1), level.entries(2)]), ...atcs.map((cache) => cache.entries())]
      .map((entries) => entries.map(({ vpn }) => vpn).join(""))
      .join(" ");
  fill();
  return { context, scheduler, levels, atcs, target, timeouts, others, use, held };
}

describe("tlbTarget", () => {
  const NONE = "456 456 456 456 456 456 456";

  it.each([
    ["TLBI by VA", tlbiNhVa(1, 5), "46 456 46 456 456 456 456"],
    ["TLBI of a range", tlbiNhVa(2, 5, 2), "456 4 456 4 456 456 456"],
    ["TLBI by ASID", tlbiNhAsid(2), "456  456  456 456 456"],
    ["TLBI of all", tlbiNhAll(0), "    456 456 456"],
    ["ATC_INV of one page", atcInv(0, 2, 6, 1), "456 456 456 456 456 45 456"],
    ["ATC_INV of everything", atcInv(1, 1, 0, Infinity), "456 456 456 456 456 456 "],
    ["ATC_INV of another stream", atcInv(2, 1, 0, Infinity), NONE],
    ["ATC_INV of another substream", atcInv(1, 2, 0, Infinity), NONE],
  ])("%s reaches every level and the cache that it names, and nothing else", (_, command, left) => {
    const { target, held } = setUp();
    expect(held()).toBe(NONE);

    target.execute(command);

    expect(held()).toBe(left);
  });

  it("spares walk caches where the command says leaf only", () => {
    for (const leafOnly of [true, false]) {
      const { context, scheduler, levels, target } = setUp();
      const cache = new WalkCache(context, { entries: 2, span: 4, asid: () => 1 });
      levels[0]!.addWalkCache(cache);
      function* insert(): Path {
        yield cache.insert(new AccessRequest(5, false), 9);
      }
      scheduler.run(insert());

      target.execute(tlbiNhVa(1, 5, 1, leafOnly));

      expect(cache.tables()).toEqual(leafOnly ? [{ vpn: 4, pages: 4, table: 9 }] : []);
    }
  });

  it("waits for accesses in every level and every device's cache", () => {
    const { atcs, levels, target, use } = setUp();
    const stages = [...levels.map((level) => level.stage(() => 1, { peek: () => 0 })), ...atcs];
    for (const stage of stages) {
      const { held } = use(stage, 5);
      expect(target.drained()).toBe(true);
      for (const level of levels) level.invalidateAll();
      for (const cache of atcs) cache.invalidate(0, 8);
      expect(target.drained()).toBe(false);
      held.end();
      expect(target.drained()).toBe(true);
    }
  });

  it("tells of the device that does not answer, when it is asked, and while it may still use what was dropped", () => {
    const { atcs, target, timeouts, use } = setUp();
    const { held } = use(atcs[1]!, 5);
    target.execute(atcInv(0, 2, 5, 1));
    expect([timeouts.length, target.unanswered?.()]).toEqual([0, false]);
    atcs[1]!.setDead(true);

    expect(target.unanswered?.()).toBe(true);
    target.execute(atcInv(0, 1, 5, 1));
    target.execute(atcInv(1, 1, 5, 1));
    expect(timeouts).toHaveLength(0);
    target.execute(atcInv(0, 2, 5, 1));
    expect(timeouts).toHaveLength(1);
    held.end();
    expect(target.unanswered?.()).toBe(false);
  });

  it("hands other commands on", () => {
    const { target, others, held } = setUp();
    target.execute(resume(3, 1));

    expect(others).toEqual([resume(3, 1)]);
    expect(held()).toBe(NONE);
  });
});

describe("onMissingRight", () => {
  it("is re-walk when all caches walk again, fault when one is sure to fault, and either otherwise", () => {
    const faults = (policy: string): boolean => policy === "fault-from-tlb" || policy === "drop-and-fault";
    for (const hitPolicy of HIT_POLICIES)
      for (const atcHitPolicy of HIT_POLICIES)
        for (const ats of [true, false]) {
          const policies = ats ? [hitPolicy, atcHitPolicy] : [hitPolicy];
          const walks = policies.filter((policy) => policy === "rewalk-on-permission-fault").length;
          const expected = walks === policies.length ? "re-walk" : policies.some(faults) ? "fault" : "either";
          expect(onMissingRight({ ats, hitPolicy, atcHitPolicy }), `${hitPolicy} ${atcHitPolicy} ${ats}`).toBe(
            expected,
          );
        }
  });
});

describe("isSpurious", () => {
  it.each([
    [undefined, false, false],
    [0, false, false],
    [-1, false, false],
    [packLeaf(9, 0, LEAF_READ), false, true],
    [packLeaf(9, 0, LEAF_READ), true, false],
    [packLeaf(9, 0, LEAF_READ | LEAF_WRITE), true, true],
  ])("a table that says %s, for a write %s: %s", (leaf, write, spurious) => {
    const table = leaf === undefined ? undefined : { peek: () => leaf };
    expect(isSpurious({ code: "F_PERMISSION", vpn: 3, write }, table)).toBe(spurious);
  });
});

import { createTlbReplay, DemandMemory, ReplayError, stripTrace, type TlbCounters } from "@mmu-notifier/replay";
import fc from "fast-check";
import { expect, test } from "vitest";
import { NaiveTlb } from "./naive-tlb.js";

const GEOMETRY = { l1Sets: 16, l2Sets: 32, l2Ways: 3 };

/** Few pages that collide in few sets, so that evictions, upgrades and returns all happen. */
const access = fc
  .record({
    region: fc.integer({ min: 1, max: 3 }),
    page: fc.integer({ min: 0, max: 200 }),
    write: fc.integer({ min: 0, max: 1 }),
  })
  .map(({ region, page, write }) => (region << 21) | (((page % 7) * 16 + (page >> 5)) << 1) | write);
const accesses = fc.array(access, { maxLength: 400 }).map((keys) => Int32Array.from(keys));

function replay(keys: Int32Array): TlbCounters {
  const tlb = createTlbReplay(new DemandMemory(), GEOMETRY);
  tlb.run(keys);
  return tlb.counters;
}

test("counters are those of a TLB written with maps and arrays", () => {
  fc.assert(
    fc.property(accesses, fc.array(fc.integer({ min: 0, max: 399 }), { maxLength: 6 }), (keys, at) => {
      const tlb = createTlbReplay(new DemandMemory(), GEOMETRY);
      const naive = new NaiveTlb(GEOMETRY);
      const cuts = [...new Set(at)].filter((i) => i < keys.length).sort((a, b) => a - b);
      let from = 0;
      for (const cut of [...cuts, keys.length]) {
        const part = keys.subarray(from, cut);
        tlb.run(part);
        for (const key of part) naive.access(key);
        if (cut < keys.length) {
          tlb.drop(keys[cut]! >>> 1);
          naive.drop(keys[cut]! >>> 1);
        }
        from = cut;
      }
      expect(tlb.counters).toEqual(naive.counters);
    }),
    { numRuns: 300 },
  );
});

test("a stripped trace gives the counters of the whole one", () => {
  fc.assert(
    fc.property(accesses, (keys) => {
      const tlb = createTlbReplay(new DemandMemory(), GEOMETRY);
      const { keys: kept, stripped } = stripTrace(keys);
      tlb.runStripped(kept, stripped);
      expect(tlb.counters).toEqual(replay(keys));
    }),
    { numRuns: 300 },
  );
});

test("barriers keep stripping exact when pages are invalidated in between", () => {
  fc.assert(
    fc.property(accesses, fc.array(fc.integer({ min: 0, max: 399 }), { maxLength: 6 }), (keys, at) => {
      const barriers = [...new Set(at)].filter((i) => i < keys.length).sort((a, b) => a - b);
      const runs = (strip: boolean): TlbCounters => {
        const tlb = createTlbReplay(new DemandMemory(), GEOMETRY);
        let from = 0;
        for (const to of [...barriers, keys.length]) {
          const part = keys.subarray(from, to);
          if (strip) {
            const { keys: kept, stripped } = stripTrace(part);
            tlb.runStripped(kept, stripped);
          } else tlb.run(part);
          tlb.dropAll();
          from = to;
        }
        return tlb.counters;
      };
      expect(runs(true)).toEqual(runs(false));
      const whole = stripTrace(keys, barriers);
      const parts = [0, ...barriers].map((from, i) => stripTrace(keys.subarray(from, barriers[i] ?? keys.length)));
      expect([...whole.keys]).toEqual(parts.flatMap((part) => Array.from(part.keys)));
    }),
    { numRuns: 200 },
  );
});

test("runs count as the accesses they stand for", () => {
  const keys = Int32Array.from([2 << 21, (2 << 21) | 1, (2 << 21) | 4]);
  const counts = Int32Array.from([3, 2, 5]);
  const tlb = createTlbReplay(new DemandMemory());
  tlb.runRuns(keys, counts);
  const whole = [...keys].flatMap((key, i) => new Array<number>(counts[i]!).fill(key));
  expect(tlb.counters).toEqual(replay(Int32Array.from(whole)));
});

test("stripping is refused when a fault drops another page", () => {
  const memory = new DemandMemory();
  const tlb = createTlbReplay({
    walk: (tag) => memory.walk(tag),
    fault: (tag, write) => {
      tlb.drop(tag ^ 1);
      return memory.fault(tag, write);
    },
  });
  expect(() => tlb.runStripped(Int32Array.from([2 << 21]), 0)).toThrow(ReplayError);
  tlb.run(Int32Array.from([(2 << 21) | 8]));
  expect(tlb.counters.faults).toBe(2);
});

test("sizes of a TLB are checked", () => {
  expect(() => createTlbReplay(new DemandMemory(), { l1Sets: 3, l2Sets: 128, l2Ways: 12 })).toThrow(/powers of two/);
});

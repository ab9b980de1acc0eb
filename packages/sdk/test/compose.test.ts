import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type InvalidationStrategy,
  OPCODES,
  ownRanges,
  pageByPage,
  type PageSpan,
  powerOfTwoPieces,
  powerOfTwoSpan,
  tlbTarget,
  upToPages,
  wholeAddressSpace,
} from "../src/index.js";

const STRATEGIES: readonly (readonly [string, InvalidationStrategy])[] = [
  ["pageByPage", pageByPage()],
  ["powerOfTwoSpan", powerOfTwoSpan()],
  ["powerOfTwoPieces", powerOfTwoPieces()],
  ["wholeAddressSpace", wholeAddressSpace()],
  ["upToPages", upToPages(16, pageByPage())],
];

const range = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 20 }), fc.integer({ min: 1, max: 600 }))
  .map(([start, pages]) => ({ start, end: start + pages }));

const covers = (spans: readonly PageSpan[], page: number): boolean =>
  spans.some(({ start, pages }) => page >= start && page < start + pages);

describe("invalidation strategies", () => {
  it.each(STRATEGIES)("%s covers every page of the range", (_, strategy) => {
    fc.assert(
      fc.property(range, ({ start, end }) => {
        const spans = strategy(start, end);
        for (let page = start; page < end; page++) expect(covers(spans, page)).toBe(true);
      }),
    );
  });

  it.each(STRATEGIES)("%s covers everything when the range has no end", (_, strategy) => {
    const spans = strategy(0, Infinity);

    expect(spans).toEqual([{ start: 0, pages: Infinity }]);
  });

  it.each(["powerOfTwoSpan", "powerOfTwoPieces"])("%s makes naturally aligned powers of two", (name) => {
    const strategy = new Map(STRATEGIES).get(name)!;
    fc.assert(
      fc.property(range, ({ start, end }) => {
        for (const span of strategy(start, end)) {
          expect(Math.log2(span.pages) % 1).toBe(0);
          expect(span.start % span.pages).toBe(0);
        }
      }),
    );
  });

  it("powerOfTwoPieces covers no page twice and none outside, with at most two pieces a size", () => {
    fc.assert(
      fc.property(range, ({ start, end }) => {
        const pieces = powerOfTwoPieces()(start, end);
        expect(pieces.reduce((all, { pages }) => all + pages, 0)).toBe(end - start);
        const sizes = pieces.map(({ pages }) => pages);
        for (const size of sizes) expect(sizes.filter((other) => other === size).length).toBeLessThanOrEqual(2);
      }),
    );
  });

  it("upToPages is inclusive: the first size that is too many is everything", () => {
    const strategy = upToPages(512, pageByPage());

    expect(strategy(8, 519)).toHaveLength(511);
    expect(strategy(8, 520)).toEqual([{ start: 0, pages: Infinity }]);
  });
});

describe("ownRanges", () => {
  const event = fc.constantFrom("MMU_NOTIFY_MIGRATE", "MMU_NOTIFY_EXCLUSIVE", "MMU_NOTIFY_UNMAP", "MMU_NOTIFY_CLEAR");

  it("matches the driver's own ranges of the named events, and never those of nobody", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }), event, (mine, owner, event) => {
        const matches = ownRanges(mine, "MMU_NOTIFY_EXCLUSIVE")({ mm: 1, start: 0, end: 4096, event, owner });

        expect(matches).toBe(mine !== 0 && mine === owner && event === "MMU_NOTIFY_EXCLUSIVE");
      }),
    );
  });
});

describe("tlbTarget", () => {
  it("hands on what is no invalidation", () => {
    const seen: number[] = [];
    const target = tlbTarget({ other: ({ opcode }) => seen.push(opcode) });

    target.execute({ opcode: OPCODES.CMD_RESUME, id: 1, start: 0, pages: 0, arg: 1 });
    target.execute({ opcode: OPCODES.CMD_TLBI_NH_ALL, id: 0, start: 0, pages: Infinity, arg: 0 });

    expect(seen).toEqual([OPCODES.CMD_RESUME]);
    expect(target.drained()).toBe(true);
  });
});

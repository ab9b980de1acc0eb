import { agreementShare, compareRanges, type NotifiedRange } from "@mmu-notifier/replay";
import fc from "fast-check";
import { expect, test } from "vitest";

const range = (page: number, cause = "munmap"): NotifiedRange => ({
  start: page * 4096,
  end: page * 4096 + 4096,
  cause,
  line: page,
});

/** Length of a longest common subsequence, by the textbook table. */
function longest(a: readonly number[], b: readonly number[]): number {
  const rows = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      rows[i]![j] = a[i - 1] === b[j - 1] ? rows[i - 1]![j - 1]! + 1 : Math.max(rows[i - 1]![j]!, rows[i]![j - 1]!);
    }
  }
  return rows[a.length]![b.length]!;
}

test("what both sides have in order matches, the rest is missing or extra", () => {
  const pages = fc.array(fc.nat(4), { maxLength: 25 });
  fc.assert(
    fc.property(pages, pages, (trace, model) => {
      const { byCause, missing, extra } = compareRanges(
        trace.map((page) => range(page)),
        model.map((page) => range(page)),
      );
      const common = longest(trace, model);
      const { matched } = byCause.get("munmap") ?? { matched: 0 };
      expect(matched).toBe(common);
      expect(missing).toHaveLength(trace.length - common);
      expect(extra).toHaveLength(model.length - common);
    }),
  );
});

test("differences are counted by cause", () => {
  const { byCause } = compareRanges([range(1), range(2, "fork"), range(3)], [range(1), range(3), range(4, "msync")]);
  expect(Object.fromEntries(byCause)).toEqual({
    munmap: { matched: 2, missing: 0, extra: 0 },
    fork: { matched: 0, missing: 1, extra: 0 },
    msync: { matched: 0, missing: 0, extra: 1 },
  });
  expect(agreementShare({ matched: 3, missing: 1, extra: 0 })).toBe(0.75);
  expect(agreementShare({ matched: 0, missing: 0, extra: 0 })).toBe(1);
});

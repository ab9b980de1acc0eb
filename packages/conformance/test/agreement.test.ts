import { describe, expect, it } from "vitest";
import { conform } from "../src/index.js";
import { corpus } from "./recorded.js";

/**
 * The sweeps of stores behind every operation; `scripts/test/conformance-doc.test.mjs` runs the sets without them, `npm run docs:check` those of the largest
 * set too.
 */
describe("agreement with hidden write bits", () => {
  it.each(["hand3.W.jsonl.gz", "hand2.W.jsonl.gz"])("%s: at least 99 of 100", async (file) => {
    const { fields } = await conform(corpus(file), { keep: 0 });

    const { compared, equal } = fields["write-bits"]!;
    expect((100 * equal) / compared).toBeGreaterThanOrEqual(99);
  });
});

describe("a report", () => {
  it("is the same each time", async () => {
    const [one, two] = [await conform(corpus("hand2.jsonl.gz")), await conform(corpus("hand2.jsonl.gz"))];

    expect(two).toEqual(one);
  });

  it("counts every operation in every field of its set", async () => {
    const { ops, fields } = await conform(corpus("hand3.jsonl.gz"), { keep: 0 });

    expect(Object.keys(fields)).toEqual([
      "result",
      "signal",
      "vmas",
      "pages",
      "identity",
      "mapcount",
      "faults",
      "notifier",
      "order",
      "aging",
      "flushes",
    ]);
    for (const { compared } of Object.values(fields)) expect(compared).toBe(ops);
  });

  it("keeps as many divergences as wanted and counts all", async () => {
    const report = await conform(corpus("hand3.jsonl.gz"), { kernel: "v5.10", keep: 2 });

    expect(report.divergences).toHaveLength(2);
    expect(report.ops - report.equal).toBeGreaterThan(2);
  });
});

import { beforeAll, describe, expect, it } from "vitest";
import { type EntryResult, museum, runEntry } from "../src/index.js";

describe.each(museum.map((entry) => [entry.id, entry] as const))("%s", (_id, entry) => {
  let result: EntryResult;
  beforeAll(() => {
    result = runEntry(entry);
  });

  it("gives its verdicts in the shortest way with the mistake, and none without", () => {
    expect(result.complaints).toEqual([]);
  });

  it("comes to what it is about, and is searched completely without the mistake", () => {
    expect([result.buggy.reached, result.fixed.reached, result.fixed.complete]).toEqual([true, true, true]);
    expect(result.fixed.found).toEqual([]);
  });

  it("has a counterexample for each verdict, as long as is said", () => {
    expect(entry.expect.length).toBeGreaterThan(0);
    for (const { verdict, object, steps } of entry.expect) {
      const found = result.buggy.found.find((it) => it.verdict === verdict && it.object === object);
      expect(found?.counterexample.steps).toHaveLength(steps);
    }
  });
});

describe("the museum", () => {
  it("has names and numbers of its own for every entry", () => {
    expect(new Set(museum.map(({ id }) => id)).size).toBe(museum.length);
    expect(new Set(museum.map(({ number }) => number)).size).toBe(museum.length);
  });
});

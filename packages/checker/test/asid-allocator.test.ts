import { describe, expect, it } from "vitest";
import { asidAllocator, explore } from "../src/index.js";

describe("the ASID allocator", () => {
  it("has as many states as TLC counts for Marinas's model: 197,000 distinct, 652,477 generated, depth 61", () => {
    const { states, transitions, depth, findings, bounds } = explore(asidAllocator());

    expect(bounds).toBe("complete");
    expect(findings).toEqual([]);
    // TLC counts the initial state as generated, and states where this counts steps.
    expect([states, transitions + 1, depth + 1]).toEqual([197_000, 652_477, 61]);
  }, 30_000);

  it("rolls over to the next generation when it runs out of ASIDs", () => {
    const { findings, states } = explore(asidAllocator({ cpus: 1, mms: 3, asids: 3, generations: 3 }));

    expect(findings).toEqual([]);
    expect(states).toBeGreaterThan(1000);
  });

  it("refuses more ASIDs than a step's result can tell apart", () => {
    expect(() => asidAllocator({ asids: 8 })).toThrowError("(generations + 1) * asids is at most 15");
  });
});

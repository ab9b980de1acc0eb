import { describe, expect, it } from "vitest";
import { explore, upgradeProtocol } from "../../src/index.js";

describe("the seed's protocol", () => {
  it("has as many states and transitions as the hand-packed explorer and rumur count", () => {
    const small = explore(upgradeProtocol());
    const full = explore(upgradeProtocol({ downgrades: 2, writes: 2 }));

    expect([small.states, small.transitions, small.depth]).toEqual([112_441, 316_416, 49]);
    expect([full.states, full.transitions, full.complete, full.findings]).toEqual([2_791_352, 8_143_506, true, []]);
    expect(full.bytesPerState).toBeLessThan(40);
  }, 60_000);

  it("runs generators a few hundred times only", () => {
    expect(explore(upgradeProtocol()).generatorRuns).toBeLessThan(400);
  });

  it("uses a revoked entry when an invalidation leaves walks alone", () => {
    const { findings, bounds } = explore(upgradeProtocol({ killWalks: false }), { stopAtFirst: true });

    expect(bounds).toBe("stopped at the first finding");
    expect(findings[0]).toMatchObject({ verdict: "STALE-USE", severity: "error" });
  });

  it("says where it was cut off", () => {
    expect(explore(upgradeProtocol(), { maxStates: 1000 }).bounds).toBe("cut off at 1000 states");
    expect(explore(upgradeProtocol(), { maxDepth: 10 })).toMatchObject({ bounds: "cut off at 10 steps", depth: 10 });
  });
});

import { describe, expect, test } from "vitest";
import { checkScenario, scenarios } from "../src/index.js";
import { errorsOf, registry, run } from "./flawed-smmu.js";

test("scenarios have names of their own, X1 to X15 among them", () => {
  const ids = scenarios.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const number of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]) expect(ids).toContain(`X${number}`);
});

describe("a driver without a mistake", () => {
  test.each(["X1", "X2", "X4", "X5", "X6", "X9", "X16", "X17", "X25", "X25+walk-cache", "X14", "X14a", "X14b"])(
    "comes through %s on v6.12",
    (id) => {
      const result = run(id, "v6.12");
      expect(result.exploration!.complete).toBe(true);
      expect(result.expectation!.verdict).toBeUndefined();
      expect(errorsOf(result)).toEqual([]);
    },
  );

  test.each(["X1", "X1a", "X2", "X11"])("faults for ever in %s on v6.4, as the rules say", (id) => {
    const result = run(id, "v6.4");
    expect(result.expectation).toMatchObject({ verdict: "LIVELOCK" });
    expect(errorsOf(result)).toEqual(["LIVELOCK"]);
    expect(result.counterexamples![0]!.cycleFrom).toBeGreaterThan(0);
  });

  test("of the patch's places some are told, and some are not", () => {
    expect(errorsOf(run("X1a", "v6.4+upgrade-event"))).toEqual([]);
    expect(errorsOf(run("X1", "v6.4+upgrade-event"))).toEqual(["LIVELOCK"]);
    expect(errorsOf(run("X1", "v6.4+upgrade-event-fixed"))).toEqual([]);
  });
});

describe("a mistake is caught", () => {
  test.each([
    ["deaf", "X5a", "STALE-USE"],
    ["deaf", "X1", "LIVELOCK"],
    ["short", "X16", "STALE-USE"],
    ["late", "X16", "STALE-USE"],
    ["ignores-timeout", "X14", "STALE-USE"],
    ["ignores-timeout", "X14a", "STALE-PERM"],
    ["ignores-timeout", "X14b", "STALE-USE"],
  ] as const)("%s in %s", (mistake, id, verdict) => {
    expect(errorsOf(run(id, "v6.12", mistake))).toContain(verdict);
  });
});

test("what does not concern a host or a driver is left out, with the reason", () => {
  expect(run("X12", "v6.12").skipped).toMatch(/inner-shareable/);
  const scenario = { ...scenarios[0]!, options: { wings: true } };
  expect(checkScenario(scenario, { driver: "npu", registry }).skipped).toBe("the driver has no option wings");
});

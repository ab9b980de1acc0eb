import { PluginRegistry } from "@mmu-notifier/machine";
import {
  phases,
  pageRange,
  defineSecondaryMmu,
  SMMU_V3_DEFAULTS,
  SmmuV3,
  type SmmuV3Options,
  SvaDomain,
} from "@mmu-notifier/sdk";
import { describe, expect, test } from "vitest";
import { checkScenario, type ScenarioResult, scenarios } from "../src/index.js";

/** Mistakes of a driver that answers the hook. */
type Mistake = "none" | "deaf" | "short" | "late" | "no-sync" | "filters";

const driver = defineSecondaryMmu<SmmuV3, SmmuV3Options & { mistake: string }>({
  name: "npu",
  sdk: 1,
  summary: "shares the CPU's tables and hears of changes through the hook",
  options: { ...SMMU_V3_DEFAULTS, mistake: "none" },
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "either",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
  },
  device: (context) => new SmmuV3(context),
  create(context) {
    const { device, options, notifications } = context;
    const mistake = options.mistake as Mistake;
    const domain = new SvaDomain(context, device, device.asids.alloc(), 1);
    return {
      translation: domain.translation(),
      connection: notifications
        .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"))
        .subscribe((notification) => {
          if (notification.phase === "release") notification.waitUntil(() => domain.release());
          else if (mistake !== "deaf") {
            const { start, end } = pageRange(notification);
            notification.waitUntil(() =>
              domain.invalidateTlb(mistake === "late" ? start + 1 : start, mistake === "short" ? end - 1 : end),
            );
          }
        }),
      fault: domain.faultStrategy(),
      unbind: () => domain.release(),
      entries: () => domain.entries(),
      tables: () => domain.tables(),
    };
  },
});

const registry = PluginRegistry.withCore().add(driver, "test");

function run(id: string, kernel: string, mistake: Mistake = "none"): ScenarioResult {
  const scenario = scenarios.find((candidate) => candidate.id === id)!;
  return checkScenario(scenario, { driver: "npu", options: { mistake }, registry, kernel, arch: "arm64" });
}

const errorsOf = ({ exploration }: ScenarioResult): string[] =>
  exploration!.findings.filter(({ severity }) => severity === "error").map(({ verdict }) => verdict);

test("scenarios have names of their own, X1 to X15 among them", () => {
  const ids = scenarios.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const number of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15]) expect(ids).toContain(`X${number}`);
});

describe("a driver without a mistake", () => {
  test.each(["X1", "X2", "X4", "X5", "X6", "X9", "X16", "X17", "X25", "X25+walk-cache"])(
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
  ] as const)("%s in %s", (mistake, id, verdict) => {
    expect(errorsOf(run(id, "v6.12", mistake))).toContain(verdict);
  });
});

test("what does not concern a host or a driver is left out, with the reason", () => {
  expect(run("X12", "v6.12").skipped).toMatch(/inner-shareable/);
  const scenario = { ...scenarios[0]!, options: { wings: true } };
  expect(checkScenario(scenario, { driver: "npu", registry }).skipped).toBe("the driver has no option wings");
});

import { PluginRegistry } from "@mmu-notifier/machine";
import {
  defineSecondaryMmu,
  pageRange,
  type Path,
  phases,
  SMMU_V3_DEFAULTS,
  SmmuV3,
  type SmmuV3Options,
  SvaDomain,
} from "@mmu-notifier/sdk";
import { checkScenario, type ScenarioResult, scenarios } from "../src/index.js";

/** Mistakes of a driver that answers the hook. */
export type Mistake = "none" | "deaf" | "short" | "late" | "ignores-timeout";

type Options = SmmuV3Options & { mistake: Mistake };

const driver = defineSecondaryMmu<SmmuV3, Options>({
  name: "npu",
  sdk: 1,
  summary: "shares the CPU's tables and hears of changes through the hook",
  options: { ...SMMU_V3_DEFAULTS, mistake: "none" },
  declares: (_host, { ats }) => ({
    pageTable: "shared-walk",
    onMissingRight: "either",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
    ats,
  }),
  device: (context) => new SmmuV3(context),
  create(context) {
    const { device, options, notifications } = context;
    const { mistake } = options;
    const domain = new SvaDomain(context, device, device.asids.alloc(), 1);
    function* invalidate(start: number, end: number): Path {
      const from = mistake === "late" ? start + 1 : start;
      const to = mistake === "short" ? end - 1 : end;
      yield* domain.invalidateTlb(from, to);
      yield* domain.invalidateAtcs(from, to);
    }
    return {
      translation: domain.translation(),
      connection: notifications
        .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"))
        .subscribe((notification) => {
          if (notification.phase === "release") notification.waitUntil(() => domain.release());
          else if (mistake !== "deaf") {
            const { start, end } = pageRange(notification);
            notification.waitUntil(() => invalidate(start, end));
          }
        }),
      fault: domain.faultStrategy(),
      unbind: () => domain.release(),
      entries: () => domain.entries(),
      tables: () => domain.tables(),
    };
  },
});

/** Where the flawed driver is found. */
export const registry = PluginRegistry.withCore().add(driver, "test");

/** Puts the driver with a mistake through a scenario, on arm64. */
export function run(id: string, kernel: string, mistake: Mistake = "none"): ScenarioResult {
  const scenario = scenarios.find((candidate) => candidate.id === id)!;
  const onAtcTimeout = mistake === "ignores-timeout" ? "go-on" : "disable-ats";
  return checkScenario(scenario, {
    driver: "npu",
    options: { mistake, onAtcTimeout },
    registry,
    kernel,
    arch: "arm64",
  });
}

/** Verdicts of what a run found, in the order of the counterexamples' lengths. */
export const errorsOf = ({ exploration }: ScenarioResult): string[] =>
  exploration!.findings.filter(({ severity }) => severity === "error").map(({ verdict }) => verdict);

import { PluginRegistry } from "@mmu-notifier/machine";
import {
  defineSecondaryMmu,
  pageRange,
  type Path,
  phases,
  SMMU_V3_DEFAULTS,
  SmmuV3,
  type SmmuV3Options,
  step,
  SvaDomain,
  tlbiNhAsid,
  tlbiNhVa,
} from "@mmu-notifier/sdk";
import { checkScenario, type Scenario, type ScenarioResult, scenarios } from "../src/index.js";

/** Mistakes of a driver that answers the hook. */
export type Mistake =
  | "none"
  | "deaf"
  | "short"
  | "late"
  /** Commands are issued and never waited for. */
  | "no-sync"
  /** TLBIs leave the entries of upper levels alone. */
  | "leaf-only"
  /** A master that does not answer is taken for one that did. */
  | "ignores-timeout"
  /** A CMD_SYNC after each command, where few commands are declared. */
  | "chatty"
  | "ignores-release"
  /** Every address space has the same ASID. */
  | "one-asid"
  /** What unbind leaves in the TLBs carries an ASID that is given to the next. */
  | "keeps-asid";

type Options = SmmuV3Options & { mistake: Mistake };

const driver = defineSecondaryMmu<SmmuV3, Options>({
  name: "npu",
  sdk: 1,
  summary: "shares the CPU's tables and hears of changes through the hook",
  options: { ...SMMU_V3_DEFAULTS, mistake: "none" },
  declares: (_host, { ats, mistake }) => ({
    pageTable: "shared-walk",
    onMissingRight: "either",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
    ats,
    maxCommandsPerCall: mistake === "chatty" ? 8 : 600,
  }),
  device: (context) => new SmmuV3(context),
  create(context) {
    const { device, options, notifications } = context;
    const { mistake } = options;
    const asid = mistake === "one-asid" ? 1 : device.asids.alloc();
    const domain = new SvaDomain(context, device, asid, 1);
    function* invalidate(start: number, end: number): Path {
      const from = mistake === "late" ? start + 1 : start;
      const to = mistake === "short" ? end - 1 : end;
      if (mistake === "no-sync") {
        yield* device.queue.submit([tlbiNhAsid(asid)]);
        return;
      }
      if (mistake === "leaf-only") {
        const pages = Array.from({ length: Math.min(to - from, 4) }, (_, i) => tlbiNhVa(asid, from + i, 1, true));
        yield* device.queue.issue(pages);
      } else if (mistake !== "chatty") yield* domain.invalidateTlb(from, to);
      else for (let page = from; page < to; page++) yield* domain.invalidateTlb(page, page + 1);
      yield* domain.invalidateAtcs(from, to);
    }
    function* unbind(): Path {
      if (mistake !== "keeps-asid") yield* domain.release();
      yield step("asid: free", () => {
        domain.cd.clear();
        if (mistake !== "one-asid") device.asids.free(asid);
        return 0;
      });
    }
    return {
      translation: domain.translation(),
      connection: notifications
        .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"))
        .subscribe((notification) => {
          if (notification.phase === "release") {
            if (mistake !== "ignores-release") notification.waitUntil(() => domain.release());
          } else if (mistake !== "deaf") {
            const { start, end } = pageRange(notification);
            notification.waitUntil(() => invalidate(start, end));
          }
        }),
      fault: domain.faultStrategy(),
      unbind,
      entries: () => domain.entries(),
      tables: () => domain.tables(),
    };
  },
});

/** Where the flawed driver is found. */
export const registry = PluginRegistry.withCore().add(driver, "test");

/** Puts the driver with a mistake through a scenario, on arm64. */
export function run(which: string | Scenario, kernel: string, mistake: Mistake = "none"): ScenarioResult {
  const scenario = typeof which === "string" ? scenarios.find(({ id }) => id === which)! : which;
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

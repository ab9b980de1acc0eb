import { ARENA_PAGE, parseScripts, type ScriptSession } from "@mmu-notifier/script";
import { hostFacts } from "@mmu-notifier/sdk";
import type { PluginRegistry } from "@mmu-notifier/machine";
import type { ExploreOptions } from "../engine/exploration.js";
import type { StepRule } from "../machine-model/observed.js";
import { checkScript, type ScriptResult } from "./check-script.js";
import { type Expectation, expectationOf } from "./expectation.js";
import type { Scenario } from "./scenario.js";

/** What to put a driver through. */
export interface ScenarioRun {
  readonly driver: string;
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  readonly registry: PluginRegistry;
  /** @defaultValue the machine's default */
  readonly kernel?: string;
  readonly arch?: string;
  readonly explore?: ExploreOptions;
  /** A schedule to run again instead of a search. */
  readonly replay?: string;
  /** More rules for steps than every driver is held to. */
  readonly rules?: (session: ScriptSession) => readonly StepRule[];
}

/** What came of it. */
export interface ScenarioResult extends ScriptResult {
  readonly scenario: Scenario;
  readonly expectation?: Expectation;
}

/** Puts a driver through one scenario. */
export function checkScenario(scenario: Scenario, run: ScenarioRun): ScenarioResult {
  const { driver, registry, kernel, options = {} } = run;
  const arch = scenario.arch ?? run.arch;
  if (scenario.arch !== undefined && run.arch !== undefined && !scenario.arch.startsWith(run.arch))
    return { scenario, skipped: `it is about ${scenario.arch}` };
  const has = registry.find("driver", driver).plugin.driver.options ?? {};
  const wishes = Object.entries(scenario.wishes ?? {}).filter(([name]) => name in has);
  const wanted = { ...Object.fromEntries(wishes), ...scenario.options };
  const missing = Object.keys(wanted).find((name) => !(name in has));
  if (missing !== undefined) return { scenario, skipped: `the driver has no option ${missing}` };
  const [script] = parseScripts(
    `device dev0 driver x\n== ${scenario.id} arena ${scenario.arena ?? 4}\n${scenario.script}`,
    {
      file: scenario.id,
    },
  );
  const [line] = script!.devices;
  const devices = [{ ...line!, driver, options: { ...options, ...wanted } }];
  let expectation: Expectation | undefined;
  const result = checkScript(
    { ...script!, devices },
    {
      registry,
      geometry: { bits: scenario.bits ?? [2, 2], first: ARENA_PAGE },
      config: { swapSlots: 2, ...scenario.config },
      ...(scenario.threads === undefined ? {} : { threads: scenario.threads }),
      ...(run.rules === undefined ? {} : { rules: run.rules }),
      ...(kernel === undefined ? {} : { kernel }),
      ...(arch === undefined ? {} : { arch }),
      explore: { maxStates: 2_000_000, ...run.explore },
      ...(run.replay === undefined ? {} : { replay: run.replay }),
      skips: ({ machine, devices: attached }) => {
        const device = attached.get("dev0")!;
        const skipped = scenario.skips?.(hostFacts(machine.kernel)) ?? scenario.lacks?.(device);
        if (skipped === undefined) expectation = expectationOf(scenario, machine, device);
        return skipped;
      },
    },
  );
  return { scenario, ...result, ...(expectation === undefined ? {} : { expectation }) };
}

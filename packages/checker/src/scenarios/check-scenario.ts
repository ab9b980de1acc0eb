import { ARENA_PAGE, parseScripts } from "@mmu-notifier/script";
import { hostFacts } from "@mmu-notifier/sdk";
import type { PluginRegistry } from "@mmu-notifier/machine";
import type { Exploration, ExploreOptions } from "../engine/exploration.js";
import { withinTime } from "../engine/guard.js";
import { explore } from "../engine/explore.js";
import { type Counterexample, counterexampleOf, replay } from "../counterexample/replay.js";
import { type Problem, type ScriptModel, scriptModel } from "../machine-model/script-model.js";
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
}

/** What came of it. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  /** Why it was left out; everything else is undefined then. */
  readonly skipped?: string;
  readonly expectation?: Expectation;
  readonly exploration?: Exploration;
  readonly problems?: readonly Problem[];
  /** The shortest way to each finding; with {@link ScenarioRun.replay} what was run again. */
  readonly counterexamples?: readonly Counterexample[];
  /** Kernel and architecture that it ran on. */
  readonly kernel?: string;
  readonly arch?: string;
}

/** Milliseconds within which a machine is put together, its prelude included. */
const SET_UP_TIME = 20_000;

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
  const build = (): ScriptModel =>
    scriptModel(
      { ...script!, devices },
      {
        registry,
        geometry: { bits: scenario.bits ?? [2, 2], first: ARENA_PAGE },
        config: { swapSlots: 2, ...scenario.config },
        ...(scenario.threads === undefined ? {} : { threads: scenario.threads }),
        ...(kernel === undefined ? {} : { kernel }),
        ...(arch === undefined ? {} : { arch }),
      },
    );
  let built: ScriptModel | undefined;
  if (!withinTime(() => (built = build()), SET_UP_TIME)) {
    const what = `attaching the device or the ops before the threads did not end within ${SET_UP_TIME} ms: code of driver ${driver} loops for ever`;
    return { scenario, problems: [{ verdict: "HANG", about: driver, what }] };
  }
  const { model, session, problems } = built!;
  try {
    const device = session.devices.get("dev0")!;
    const skipped = scenario.skips?.(hostFacts(session.machine.kernel)) ?? scenario.lacks?.(device);
    if (skipped !== undefined) return { scenario, skipped };
    const expectation = expectationOf(scenario, session.machine, device);
    const { profile, arch: architecture } = session.machine.kernel;
    const on = { kernel: profile.name, arch: architecture.name };
    if (run.replay !== undefined)
      return { scenario, expectation, problems, counterexamples: [replay(model, run.replay)], ...on };
    const exploration = explore(model, {
      liveness: "task",
      maxStates: 2_000_000,
      rebuild: () => build().model,
      ...run.explore,
    });
    const counterexamples = exploration.findings.map((finding) =>
      counterexampleOf(exploration.reexecuted ? build().model : model, finding),
    );
    return { scenario, expectation, exploration, problems, counterexamples, ...on };
  } finally {
    session.close();
  }
}

import type { PluginRegistry } from "@mmu-notifier/machine";
import { runTrial, type Trial, UPGRADE_SCENARIOS } from "@mmu-notifier/script";
import { traceSummaries, type TraceSummary } from "./traces.js";
import { KERNELS, VARIANTS } from "./variants.js";

/** Everything that `mmun` tells without arguments, as data. */
export interface Story {
  readonly trials: readonly Trial[];
  readonly traces: readonly TraceSummary[];
  /** Commands to try next. */
  readonly next: readonly string[];
}

const NEXT: readonly string[] = [
  "npm run mmun -- run examples/03-write-a-driver/upgrade.mm --kernel v6.4 --driver ./examples/03-write-a-driver/src/driver.ts",
  "npm run mmun -- replay packages/replay/traces/git.trace.gz",
  "npm run mmun -- list",
];

/** Computes the story: every trial on a machine of its own, every trace replayed from its file. */
export async function tellStory(registry: PluginRegistry): Promise<Story> {
  const traces = traceSummaries();
  const trials = UPGRADE_SCENARIOS.flatMap((scenario) =>
    VARIANTS.flatMap((variant) => KERNELS.map((kernel) => runTrial(kernel, variant, scenario, registry))),
  );
  return { trials, traces: await traces, next: NEXT };
}

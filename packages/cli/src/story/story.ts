import type { PluginRegistry } from "@mmu-notifier/machine";
import { runTrial, type Trial, UPGRADE_SCENARIOS } from "@mmu-notifier/script";
import { traceSummaries, type TraceSummary } from "./traces.js";
import { copyUnderLock, type UnderLock } from "./under-lock.js";
import { KERNELS, VARIANTS } from "./variants.js";

/** Everything that `mmun` tells without arguments, as data. */
export interface Story {
  readonly trials: readonly Trial[];
  /** The patch's call in `__wp_page_copy_user()`, on each kernel. */
  readonly underLock: readonly UnderLock[];
  readonly traces: readonly TraceSummary[];
  /** Commands to try next. */
  readonly next: readonly string[];
}

const NEXT: readonly string[] = [
  "npm run mmun -- run examples/03-write-a-driver/upgrade.mm --kernel v6.4 --driver ./examples/03-write-a-driver/src/driver.ts",
  "npm run mmun -- run examples/01-run-the-story/under-lock.mm",
  "npm run mmun -- replay packages/replay/traces/git.trace.gz",
];

/** Computes the story: every trial on a machine of its own, every trace replayed from its file. */
export async function tellStory(registry: PluginRegistry): Promise<Story> {
  const traces = traceSummaries();
  const trials = UPGRADE_SCENARIOS.flatMap((scenario) =>
    VARIANTS.flatMap((variant) => KERNELS.map((kernel) => runTrial(kernel, variant, scenario, registry))),
  );
  const underLock = KERNELS.map((kernel) => copyUnderLock(kernel, registry));
  return { trials, underLock, traces: await traces, next: NEXT };
}

import type { Script } from "@mmu-notifier/script";
import type { Divergence } from "../divergence.js";
import { FieldCounts } from "../field-diff.js";
import { LeftOut } from "../left-out.js";
import { MmrunComparison } from "../mmrun/compare-mmrun.js";
import { runMmrun } from "../mmrun/run-mmrun.js";
import type { CaseContext } from "../run-options.js";
import type { KernelRun } from "./kernel-run.js";
import { REPEATED_FAULTS } from "./repeated-faults.js";

/** How one script compares. */
export interface Verdict {
  readonly script: Script;
  /** Records of the kernel. */
  readonly run: KernelRun;
  /** Operations that were compared. */
  readonly ops: number;
  readonly divergences: readonly Divergence[];
}

/** After a difference the kernel is asked this many times more whether it always answers like that. */
const MORE_RUNS = 3;

/** Runs a script on the kernel twice and on the model once, and says in which operations the two differ. */
export class Judge {
  readonly #run: (script: Script) => Promise<KernelRun>;
  readonly #context: CaseContext;

  constructor(run: (script: Script) => Promise<KernelRun>, context: CaseContext) {
    this.#run = run;
    this.#context = context;
  }

  async judge(script: Script): Promise<Verdict> {
    const [run, again] = await Promise.all([this.#run(script), this.#run(script)]);
    let stable = Math.min(stableOps(run, again), completeOps(run));
    let found = this.#compare(run, stable);
    for (let i = 0; i < MORE_RUNS && found.divergences.length > 0; i++) {
      const once = Math.min(stable, stableOps(run, await this.#run(script)));
      if (once === stable) continue;
      stable = once;
      found = this.#compare(run, stable);
    }
    const { counts, leftOut } = this.#context;
    counts.add(found.counts);
    leftOut.addAll(found.leftOut);
    if (run.repeated > 0) leftOut.add(REPEATED_FAULTS, run.repeated);
    const ended = run.records.length === script.statements.length;
    if (!ended)
      leftOut.add(
        "operations that did not end on the kernel, and those behind them",
        script.statements.length - run.records.length,
      );
    const unstable = run.records.length - stable;
    if (unstable > 0)
      leftOut.add("operations from the first on that the kernel did not do in the same way again", unstable);
    return { script, run, ops: stable, divergences: found.divergences };
  }

  /** Compares the first `ops` operations with the model. */
  #compare(
    run: KernelRun,
    ops: number,
  ): { readonly divergences: readonly Divergence[]; readonly counts: FieldCounts; readonly leftOut: LeftOut } {
    const counts = new FieldCounts();
    const leftOut = new LeftOut();
    const divergences: Divergence[] = [];
    const part = { ...run, records: run.records.slice(0, ops) };
    for (const outcome of runMmrun(part, { ...this.#context, counts, leftOut }))
      if (outcome !== undefined) divergences.push(outcome);
    return { divergences, counts, leftOut };
  }
}

/** Operations before the first in which two runs of the kernel differ, by the same rules as a comparison with the model. */
function stableOps(a: KernelRun, b: KernelRun): number {
  const comparison = new MmrunComparison(a.arena, new FieldCounts(), new LeftOut());
  const both = Math.min(a.records.length, b.records.length);
  for (let i = 0; i < both; i++) if (comparison.compare(a.records[i]!, b.records[i]!).length > 0) return i;
  return both;
}

/** Operations before the first whose trace events the kernel dropped. */
function completeOps({ lost, records }: KernelRun): number {
  return lost < 0 ? records.length : lost;
}

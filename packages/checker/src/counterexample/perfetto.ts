import type { Counterexample } from "./replay.js";

/** One event of the trace-event format that Perfetto and chrome://tracing read. */
export interface TraceEvent {
  readonly name: string;
  /** X: complete; s and f: start and end of a flow arrow; M: metadata. */
  readonly ph: "X" | "s" | "f" | "M";
  readonly pid: number;
  readonly tid: number;
  /** Microseconds; a step takes one. */
  readonly ts?: number;
  readonly dur?: number;
  readonly id?: number;
  readonly cat?: string;
  /** "e": the arrow ends at the slice that encloses it. */
  readonly bp?: "e";
  readonly args?: Readonly<Record<string, unknown>>;
}

const STEP_US = 10;

/**
 * An interleaving as a trace for Perfetto: a track for each task, a slice for each step, and an arrow from each step to the first
 * step of a task that it woke.
 *
 * @public
 */
export function toPerfetto({ model, tasks, steps, cycleFrom }: Counterexample): {
  readonly traceEvents: readonly TraceEvent[];
} {
  const events: TraceEvent[] = [{ name: "process_name", ph: "M", pid: 1, tid: 0, args: { name: model } }];
  tasks.forEach((name, t) => events.push({ name: "thread_name", ph: "M", pid: 1, tid: t + 1, args: { name } }));
  const tid = (task: string): number => tasks.indexOf(task) + 1;
  let arrows = 0;
  steps.forEach(({ number, task, label, functions, result, changes, wakes }, i) => {
    const ts = i * STEP_US;
    const args = {
      step: number,
      result,
      functions,
      changes,
      ...(cycleFrom !== undefined && number >= cycleFrom ? { repeats: true } : {}),
    };
    events.push({ name: label, ph: "X", pid: 1, tid: tid(task), ts, dur: STEP_US, cat: "step", args });
    for (const woken of wakes) {
      const then = steps.findIndex((step, at) => at > i && step.task === woken);
      if (then < 0) continue;
      arrows++;
      const arrow = { name: "wakes", cat: "wakes", pid: 1, id: arrows } as const;
      events.push(
        { ...arrow, ph: "s", tid: tid(task), ts: ts + STEP_US / 2 },
        { ...arrow, ph: "f", bp: "e", tid: tid(woken), ts: then * STEP_US + STEP_US / 2 },
      );
    }
  });
  return { traceEvents: events };
}

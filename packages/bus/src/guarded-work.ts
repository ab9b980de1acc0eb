import { isMarker, type Path, Step } from "@mmu-notifier/steps";

/** Result of a step that threw; no step of a driver returns it. */
const THREW = Number.MIN_SAFE_INTEGER;

/** What was thrown, and the label of the step that threw it; without one it came from the code between two steps. */
export interface Fault {
  readonly cause: unknown;
  readonly step?: string | undefined;
}

/** Where an error that leaves a subscriber's work is put. */
export interface FaultBox {
  fault: Fault | undefined;
}

/**
 * Runs a subscriber's work to its end, or to the first error that its code or one of its steps throws; the error goes into
 * `box`. A step that throws resumes the work with that error, so that its own `finally` blocks run.
 */
export function* guardedWork<R>(start: () => Path<R>, box: FaultBox): Path<R | undefined> {
  let last: Fault | undefined;
  try {
    const work = start();
    let thrown: Fault | undefined;
    const keep = (cause: unknown, step: string): void => {
      thrown = { cause, step };
      last = thrown;
    };
    let next = work.next(0);
    while (next.done !== true) {
      const result = yield canThrow(next.value) ? guard(next.value, keep) : next.value;
      if (result === THREW) {
        const { cause } = thrown ?? { cause: new Error("a step of the work threw") };
        thrown = undefined;
        next = work.throw(cause);
      } else next = work.next(result);
    }
    return next.value;
  } catch (cause) {
    box.fault = last?.cause === cause ? last : { cause };
    return undefined;
  }
}

/** Lock steps and markers are the steps package's own and do not throw by themselves. */
function canThrow(step: Step): boolean {
  return (step.effect === undefined || step.effect.kind === "might-sleep") && !isMarker(step);
}

function guard(step: Step, keep: (cause: unknown, step: string) => void): Step {
  let failed = false;
  const run = (task: number): number => {
    try {
      if (!failed) return step.run(task);
    } catch (cause) {
      keep(cause, step.label);
    }
    failed = false;
    return THREW;
  };
  const { ready } = step;
  if (ready === undefined) return new Step(step.label, run, undefined, step.effect);
  return new Step(
    step.label,
    run,
    (task) => {
      try {
        return ready(task);
      } catch (cause) {
        keep(cause, step.label);
        failed = true;
        return true;
      }
    },
    step.effect,
  );
}

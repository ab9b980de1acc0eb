import { isMarker, nextStep, type Memory, type Path, type Scheduler } from "@mmu-notifier/steps";
import { ACCESS_RETRY, type AccessOutcome, decodeAccess, deviceAccessOnce } from "./device-access.js";
import type { BoundDevice } from "./host/device.js";

/** The machine that a straight run needs: its memory and its runner. */
export interface StraightMachine {
  readonly memory: Memory;
  readonly scheduler: Scheduler;
}

/** What {@link accessUntilResolved} found. */
export interface ResolvedAccess {
  /**
   * `livelock` is a proof: at two retries the whole memory was the same, so everything between them repeats for ever.
   * `undecided` means that the memory kept changing for `maxAttempts`.
   */
  readonly outcome:
    | Exclude<AccessOutcome, { kind: "retry" }>
    | { readonly kind: "livelock" }
    | { readonly kind: "undecided" };
  /** Attempts made. */
  readonly attempts: number;
  /** Faults that the device reported meanwhile. */
  readonly faults: number;
  /** Commands that the device's driver issued meanwhile. */
  readonly commands: number;
  /** For a livelock: the steps that repeat, in order. */
  readonly cycle: readonly string[];
}

/**
 * Runs a device's access straight and proves when it can never succeed: the attempts have no memory of their own, so a whole
 * machine in the same state at two retry heads goes round for ever. No number of retries is ever taken for a livelock.
 *
 * @param maxAttempts where to give up while states keep being new
 */
export function accessUntilResolved(
  { memory, scheduler }: StraightMachine,
  bound: BoundDevice,
  vpn: number,
  access: "read" | "write",
  value = 0,
  maxAttempts = 10_000,
): ResolvedAccess {
  const { costs } = bound.context;
  const faultsBefore = costs.of("faults");
  const commandsBefore = costs.commands();
  const finish = (
    outcome: ResolvedAccess["outcome"],
    attempts: number,
    cycle: readonly string[] = [],
  ): ResolvedAccess => ({
    outcome,
    attempts,
    faults: costs.of("faults") - faultsBefore,
    commands: costs.commands() - commandsBefore,
    cycle,
  });

  // Brent's cycle detection: one saved state, replaced at powers of two; what was taken since is the cycle once it comes back.
  let saved: Int32Array | undefined;
  let since: string[] = [];
  let power = 1;
  let behind = 0;
  for (let attempts = 1; attempts <= maxAttempts; attempts++) {
    const result = scheduler.run(
      recorded(deviceAccessOnce(bound, vpn, access, value), since),
      `${bound.context.name} ${access} ${vpn}`,
    );
    if (result !== ACCESS_RETRY) {
      const outcome = decodeAccess(result);
      if (outcome.kind !== "retry") return finish(outcome, attempts);
    }
    // Others may still bring about what the access waits for: only a machine that is at rest repeats itself.
    scheduler.settle();
    if (saved !== undefined && memory.equals(saved)) return finish({ kind: "livelock" }, attempts, since);
    behind++;
    if (saved === undefined || behind === power) {
      if (saved !== undefined) power *= 2;
      behind = 0;
      saved = memory.save();
      since = [];
    }
  }
  return finish({ kind: "undecided" }, maxAttempts);
}

/** Passes a path on and notes the labels of its steps. */
function* recorded<R>(path: Path<R>, labels: string[]): Path<R> {
  let next = nextStep(path, 0);
  while (next.done !== true) {
    if (!isMarker(next.value)) labels.push(next.value.label);
    next = nextStep(path, yield next.value);
  }
  return next.value;
}

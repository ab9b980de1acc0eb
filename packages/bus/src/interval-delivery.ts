import { call, type Lock, type Memory, type Path, type Step, step, wakeUpAll } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { EAGAIN } from "./errno.js";
import { SubscriberError } from "./errors.js";
import { type FaultBox, guardedWork } from "./guarded-work.js";
import { IntervalTree } from "./interval-tree.js";
import { isBlockable, type MmuNotifierRange } from "./range.js";

/**
 * struct mmu_interval_notifier_ops, given to the bus at set-up.
 *
 * @public
 */
export interface IntervalNotifierOps {
  /** What errors call the subscriber. */
  readonly name: string;
  /**
   * The lock that `invalidate` takes. When given, the bus checks that read_retry and set_seq are called under it.
   */
  readonly userLock?: (interval: number) => Lock;
  /**
   * invalidate(): take the user lock, {@link NotifierBus.intervalSetSeq} with `curSeq`, stop the use of the range. Returns false only
   * when the range is not blockable and it would have to sleep.
   */
  invalidate(interval: number, range: MmuNotifierRange, curSeq: number): Path<boolean>;
}

/** Where the first error of a call is kept when nobody takes care of errors. */
export interface Unclaimed {
  unclaimed: Error | undefined;
}

/** Sequence numbers are below this, so that one fits next to a number of hits. */
const SEQ_RANGE = 2 ** 30;

/**
 * The interval phase of start and end (mm/mmu_notifier.c, the mn_itree_ functions).
 *
 * What the kernel does under `subscriptions->lock` is one step here: nothing else is done under that lock, so no task could
 * come in between. The hits are read in the step that freezes the tree; frozen it cannot change, so they stay right.
 */
export class IntervalDelivery {
  readonly tree: IntervalTree;
  /** Kinds of intervals; number 0 is none. */
  readonly #ops: ({ readonly ops: IntervalNotifierOps; readonly label: string } | undefined)[] = [undefined];
  readonly #state: BusState;
  readonly #mask: number;

  constructor(memory: Memory, state: BusState, seqBits: number) {
    this.#state = state;
    this.#mask = 2 ** seqBits - 1;
    this.tree = new IntervalTree(memory, state.subscriptions);
  }

  /** True when set-up made a kind of interval: only then can any mm have a tree. */
  get defined(): boolean {
    return this.#ops.length > 1;
  }

  defineOps(ops: IntervalNotifierOps): number {
    return this.#ops.push({ ops, label: `${ops.name}.invalidate` }) - 1;
  }

  ops(kind: number): IntervalNotifierOps {
    return this.#ops[kind]!.ops;
  }

  /** The sequence number before `seq`. */
  seqBefore(seq: number): number {
    return (seq - 1) & this.#mask;
  }

  /**
   * mn_itree_inv_start_range(), a step body: counts the invalidation and, if it hits, makes the sequence odd.
   *
   * @returns a negative number that {@link invalidate} understands
   */
  invStart(head: number, start: number, end: number): number {
    const { subscriptions } = this.#state;
    subscriptions.addActive(head, 1);
    const hits = this.tree.hits(head, start, end);
    let seq = subscriptions.seq(head);
    if (hits.codes.length > 0) {
      seq |= 1;
      subscriptions.setSeq(head, seq);
    }
    return -(hits.id * SEQ_RANGE + seq);
  }

  /** mn_itree_inv_end(), a step body. Waking the sleepers belongs to the step: they only look at what it wrote. */
  invEnd(head: number): void {
    const { subscriptions } = this.#state;
    const seq = subscriptions.seq(head);
    if (subscriptions.addActive(head, -1) !== 0 || (seq & 1) === 0) return;
    subscriptions.setSeq(head, (seq + 1) & this.#mask);
    this.tree.settle(head);
    wakeUpAll({ name: "wq", segment: subscriptions.heads, at: subscriptions.waitQueueAt(head) });
  }

  /** The callbacks of mn_itree_invalidate(), after {@link invStart}: 0 or -EAGAIN. */
  *invalidate(range: MmuNotifierRange, entered: number, outcome: Unclaimed): Path<number> {
    const { observers } = this.#state;
    const seq = -entered % SEQ_RANGE;
    for (const code of this.tree.hitsAt((-entered - seq) / SEQ_RANGE).codes) {
      const interval = code & 0xffff;
      const { ops, label } = this.#ops[code >> 16]!;
      const box: FaultBox = { fault: undefined };
      const answer = yield* call(
        label,
        guardedWork(() => ops.invalidate(interval, range, seq), box),
      );
      if (box.fault !== undefined) {
        const { mm, start, end, event } = range;
        const error = new SubscriberError(
          ops.name,
          `invalidate of ${event} for mm ${mm} [0x${start.toString(16)}, 0x${end.toString(16)})`,
          box.fault.cause,
          { mm, start, end, event, interval, step: box.fault.step },
        );
        if (!observers.faults.observed) outcome.unclaimed ??= error;
        else {
          yield step(`${label} threw`, () => {
            observers.raise(error);
            return 0;
          });
        }
        continue;
      }
      if (answer !== false) continue;
      if (!isBlockable(range)) {
        yield this.invEndStep(range.mm);
        return -EAGAIN;
      }
      yield step("WARN_ON: invalidate returned false", () => {
        const release = range.event === "MMU_NOTIFY_RELEASE";
        observers.warn(
          release ? "WARN_INTERVAL_REFUSED_RELEASE" : "WARN_INTERVAL_REFUSED_BLOCKABLE",
          `${ops.name} returned false from invalidate of ${release ? "MMU_NOTIFY_RELEASE" : "a blockable range"}. Sleep for the user lock instead`,
          { subscriber: ops.name, interval, mm: range.mm, event: range.event },
        );
        return 0;
      });
    }
    return 0;
  }

  /** mn_itree_inv_end() as a step of its own. */
  invEndStep(mm: number): Step {
    return step("mn_itree_inv_end", () => {
      this.invEnd(this.#state.subscriptions.of(mm));
      return 0;
    });
  }
}

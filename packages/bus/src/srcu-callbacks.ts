import {
  type Memory,
  type Path,
  preemptDisable,
  preemptEnable,
  type Segment,
  step,
  waitFor,
} from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { ALLOCATED } from "./subscriptions.js";

const TO_FREE = 1;

/** mmu_notifier_put() and what call_srcu() does for it after a grace period. */
export class SrcuCallbacks {
  readonly #state: BusState;
  /** One row: the first subscription that waits for its free callback. */
  readonly #callbacks: Segment;
  readonly #callbacksAt: number;

  constructor(memory: Memory, state: BusState) {
    this.#state = state;
    this.#callbacks = memory.segment("mmu_notifier call_srcu", 4, 1);
    this.#callbacksAt = this.#callbacks.alloc() * 4 + TO_FREE;
  }

  /** mmu_notifier_put(). */
  *put(subscription: number): Path {
    yield step("mmu_notifier_put", () => {
      const { subscriptions, observers } = this.#state;
      subscriptions.check(subscription);
      const users = subscriptions.users(subscription);
      if (users === 0) {
        observers.warn("WARN_PUT_WITHOUT_USERS", `subscription ${subscription} is put more often than it was got`, {
          subscription,
        });
        return 0;
      }
      subscriptions.setUsers(subscription, users - 1);
      if (users > 1) return 0;
      subscriptions.unhash(subscriptions.of(subscriptions.mm(subscription)), subscription);
      subscriptions.setNextToFree(subscription, this.#callbacks.i32[this.#callbacksAt]!);
      this.#callbacks.i32[this.#callbacksAt] = subscription;
      return 0;
    });
  }

  /** One round of the task that runs SRCU callbacks: waits for a put, for a grace period, then frees. */
  *runCallback(): Path {
    const subscription = yield waitFor(
      "call_srcu: a callback",
      () => this.#callbacks.i32[this.#callbacksAt] !== 0,
      () => this.#takeCallback(),
    );
    yield* this.#freeAfterGrace(subscription);
  }

  /** mmu_notifier_synchronize(): a grace period, and all callbacks of earlier puts. */
  *synchronize(): Path {
    yield* this.#state.srcu.synchronize();
    for (;;) {
      const subscription = yield step("call_srcu: a callback", () => this.#takeCallback());
      if (subscription === 0) return;
      yield* this.#freeAfterGrace(subscription);
    }
  }

  #takeCallback(): number {
    const { subscriptions } = this.#state;
    const subscription = this.#callbacks.i32[this.#callbacksAt]!;
    if (subscription !== 0) {
      this.#callbacks.i32[this.#callbacksAt] = subscriptions.nextToFree(subscription);
      subscriptions.setNextToFree(subscription, 0);
    }
    return subscription;
  }

  /** mmu_notifier_free_rcu(). */
  *#freeAfterGrace(subscription: number): Path {
    const { subscriptions, srcu } = this.#state;
    yield* srcu.synchronize();
    const ops = yield step("mmu_notifier_free_rcu", () => subscriptions.ops(subscription));
    const { freeNotifier } = this.#state.ops[ops]!;
    if (freeNotifier !== undefined) {
      yield preemptDisable();
      yield* freeNotifier(subscription);
      yield preemptEnable();
    }
    yield step("mmdrop", () => {
      const mm = subscriptions.mm(subscription);
      subscriptions.setState(subscription, ALLOCATED);
      subscriptions.free(subscription);
      this.#state.handle(mm).drop();
      return 0;
    });
  }
}

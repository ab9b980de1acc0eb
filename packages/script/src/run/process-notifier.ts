import { type NotificationPhase, type NotificationStream, phases } from "@mmu-notifier/bus";
import type { Kernel } from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";

const PHASES: readonly NotificationPhase[] = [
  "start",
  "end",
  "clear-flush-young",
  "clear-young",
  "test-young",
  "release",
];

/**
 * A notifier that listens and does nothing, as a virtual machine without memory has: the recorded kernels were watched through
 * one.
 */
export class ProcessNotifier {
  readonly #k: Kernel;
  readonly #ops: number;

  /** @param mm any mm of the machine, for the names of the callbacks */
  constructor(k: Kernel, mm: number) {
    this.#k = k;
    const wanted = k.bus.rules.hasChangePte ? ([...PHASES, "change-pte"] as const) : PHASES;
    const { interest } = k.bus.notifications(mm).pipe(phases(...wanted)) as NotificationStream;
    this.#ops = k.bus.defineOps({ name: "kvm", interest, next: () => undefined });
  }

  /** Registers for an mm: the subscription, or -errno. */
  *open(mm: number): Path<number> {
    const { bus } = this.#k;
    const subscription = yield step("kvm: kzalloc", () => bus.allocSubscription(this.#ops));
    const result = yield* bus.register(subscription, mm);
    if (result === 0) return subscription;
    yield this.#free(subscription);
    return result;
  }

  /** Takes a subscription of an mm away. */
  *close(subscription: number, mm: number): Path {
    yield* this.#k.bus.unregister(subscription, mm);
    yield this.#free(subscription);
  }

  #free(subscription: number) {
    return step("kvm: kfree", () => {
      this.#k.bus.freeSubscription(subscription);
      return 0;
    });
  }
}

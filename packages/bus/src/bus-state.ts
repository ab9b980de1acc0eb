import { type Memory, Srcu } from "@mmu-notifier/steps";
import { Chains } from "./chain.js";
import { BusError } from "./errors.js";
import { eventlessBit, type NotificationPhase } from "./interest.js";
import type { MmHandle } from "./mm-handle.js";
import type { NotifierOps } from "./notifier-ops.js";
import { Observers } from "./observers.js";
import type { BusRules } from "./rules.js";
import { Subscriptions } from "./subscriptions.js";

/** What the parts of one bus share. Everything here is fixed at set-up, but for what lives in the memory. */
export class BusState {
  readonly rules: BusRules;
  readonly hookPhase: NotificationPhase;
  /** Kinds of subscriptions; number 0 is none. */
  readonly ops: NotifierOps[] = [];
  readonly chains: Chains;
  readonly subscriptions: Subscriptions;
  readonly srcu: Srcu;
  readonly observers = new Observers();
  /** srcu_read_unlock() of either counter. */
  readonly srcuUnlock;
  readonly srcuLock;
  readonly #handles: MmHandle[] = [];

  constructor(memory: Memory, rules: BusRules) {
    this.rules = rules;
    this.hookPhase = rules.hook === "invalidate_range" ? "invalidate-range" : "arch-invalidate-secondary-tlbs";
    this.chains = new Chains(this.ops, eventlessBit(this.hookPhase), rules.hookFromRangeEnd);
    this.subscriptions = new Subscriptions(memory, this.chains);
    this.srcu = new Srcu(memory, "mmu_notifier");
    this.srcuLock = this.srcu.readLock();
    this.srcuUnlock = [this.srcu.readUnlock(0), this.srcu.readUnlock(1)] as const;
    this.ops.push({ name: "none", interest: 0, next: () => undefined });
  }

  setHandle(handle: MmHandle): void {
    this.#handles[handle.id] = handle;
  }

  handle(mm: number): MmHandle {
    const handle = this.#handles[mm];
    if (handle === undefined) {
      throw new BusError("BUS_MM_NOT_ATTACHED", `mm ${mm} is not known to the bus. Call attach() when the mm is made`, {
        mm,
      });
    }
    return handle;
  }
}

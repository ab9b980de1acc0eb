import { type ContextEffect, type Path, Step } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { END_SLOT, eventlessSlot, ONLY_END_SLOT, START_SLOT } from "./chain.js";
import { DeliveryPath, type Detours } from "./delivery-path.js";
import { INTERVALS_PASSED, NO_NOTIFIERS, NOBODY } from "./entered.js";
import { EAGAIN } from "./errno.js";
import { BusError } from "./errors.js";
import { eventIndex, type MmuNotifyEvent } from "./events.js";
import { yielded } from "./hand-written-path.js";
import type { NotificationPhase } from "./interest.js";
import type { IntervalDelivery } from "./interval-delivery.js";
import type { ListDelivery } from "./list-delivery.js";
import type { BusCall } from "./observers.js";
import { isBlockable, MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifierRange, setBlockable } from "./range.js";
import { unwind } from "./unwind.js";

const START = "mmu_notifier_invalidate_range_start";
const END = "mmu_notifier_invalidate_range_end";
const MIGHT_SLEEP: ContextEffect = { kind: "might-sleep" };
const always = (): boolean => true;

/** The calls that an mm makes on the bus (mm/mmu_notifier.c, __mmu_notifier_invalidate_range_start() and its neighbours). */
export class Calls implements Detours {
  readonly #state: BusState;
  readonly #list: ListDelivery;
  readonly #intervals: IntervalDelivery;
  /** Steps that enter a list, by mm (twice: with and without might_sleep) and kind of walk. */
  readonly #enterSteps: (IteratorYieldResult<Step> | undefined)[][] = [];

  constructor(state: BusState, list: ListDelivery, intervals: IntervalDelivery) {
    this.#state = state;
    this.#list = list;
    this.#intervals = intervals;
  }

  start(range: MmuNotifierRange, blockable: boolean): Path<number> {
    const { mm, start, end, event } = range;
    const slot = START_SLOT + this.#eventIndex(event);
    setBlockable(range, blockable);
    const flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0;
    const owner = range.owner ?? 0;
    const observed = this.#state.observers.calls.observed;
    const call: BusCall | undefined = observed
      ? { call: "invalidate_range_start", mm, start, end, event, flags, owner }
      : undefined;
    const enter =
      observed || this.#intervals.defined
        ? enterStep(START, blockable, (task) => this.#enterStart(call, mm, start, end, slot, task))
        : this.#enterStep(mm, slot, START, blockable);
    const subject = { phase: "start", mm, start, end, event, flags, owner, pte: undefined } as const;
    return new DeliveryPath(this.#list, subject, slot, "before", enter, this, call);
  }

  end(range: MmuNotifierRange, onlyEnd: boolean): Path<number> {
    const { mm, start, end, event } = range;
    const slot = (onlyEnd ? ONLY_END_SLOT : END_SLOT) + this.#eventIndex(event);
    const blockable = isBlockable(range);
    const flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0;
    const owner = range.owner ?? 0;
    const observed = this.#state.observers.calls.observed;
    const call: BusCall | undefined = observed
      ? { call: "invalidate_range_end", mm, start, end, event, flags, owner, onlyEnd }
      : undefined;
    const enter =
      observed || this.#intervals.defined
        ? enterStep(END, blockable, (task) => this.#enterEnd(call, mm, slot, task))
        : this.#enterStep(mm, slot, END, blockable);
    const subject = { phase: "end", mm, start, end, event, flags, owner, pte: undefined } as const;
    return new DeliveryPath(this.#list, subject, slot, "if-notifiers", enter, this, call);
  }

  /** A call that goes to the list only and has no event. */
  list(
    phase: NotificationPhase,
    name: BusCall["call"],
    mm: number,
    start: number,
    end: number,
    pte?: number,
  ): Path<number> {
    const slot = eventlessSlot(phase);
    const call: BusCall | undefined = this.#state.observers.calls.observed
      ? { call: name, mm, start, end, ...(pte === undefined ? {} : { pte }) }
      : undefined;
    const enter =
      call === undefined
        ? this.#enterStep(mm, slot, name, false)
        : enterStep(name, false, (task) => this.#enterList(call, slot, task));
    const subject = { phase, mm, start, end, event: undefined, flags: 0, owner: 0, pte };
    return new DeliveryPath(this.#list, subject, slot, "never", enter, this, call);
  }

  *intervals(path: DeliveryPath, entered: number): Path<number> {
    const { phase, mm, start, end, event, flags, owner } = path.subject;
    if (phase === "end") return yield this.#enterStep(mm, path.slot, "mn_hlist_invalidate_end", false).value;
    const range: MmuNotifierRange = { mm, start, end, event: event!, flags, owner };
    path.ret = yield* this.#intervals.invalidate(range, entered, path);
    if (path.ret !== 0) return NOBODY;
    return yield this.#enterStep(mm, path.slot, "mn_hlist_invalidate_range_start", false).value;
  }

  *unwind(path: DeliveryPath, entered: number): Path {
    const main = path.main!;
    if (this.#state.rules.endsAfterRefusedStart === false) yield this.#list.unlock(entered);
    else yield* unwind(this.#list, this.#state.subscriptions, entered, path.slot - START_SLOT, main);
    path.unclaimed ??= main.unclaimed;
    if (!main.blockable) path.ret = -EAGAIN;
    // A blockable start that was refused has not failed: its end is still to come.
    if (path.ret !== 0 && path.viaIntervals && this.#state.rules.undoIntervalsOnEagain === true) {
      yield this.#intervals.invEndStep(main.mm);
    }
  }

  #eventIndex(event: MmuNotifyEvent): number {
    const index = eventIndex(event);
    if (event === "MMU_NOTIFY_PROTECTION_UPGRADE" && !this.#state.rules.hasUpgradeEvent) {
      throw new BusError(
        "BUS_EVENT_UNKNOWN",
        "this kernel has no MMU_NOTIFY_PROTECTION_UPGRADE: see BusRules.hasUpgradeEvent",
        { event },
      );
    }
    return index;
  }

  /** The step that enters a list, made once for each mm and kind of walk. */
  #enterStep(mm: number, slot: number, label: string, mightSleep: boolean): IteratorYieldResult<Step> {
    const steps = (this.#enterSteps[mm * 2 + (mightSleep ? 1 : 0)] ??= []);
    return (steps[slot] ??= enterStep(label, mightSleep, (task) => this.#list.enter(mm, slot, task)));
  }

  #enterStart(call: BusCall | undefined, mm: number, start: number, end: number, slot: number, task: number): number {
    const { subscriptions } = this.#state;
    const head = subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    this.#emit(call);
    if (subscriptions.hasItree(head)) return this.#intervals.invStart(head, start, end);
    return this.#list.enter(mm, slot, task);
  }

  #enterEnd(call: BusCall | undefined, mm: number, slot: number, task: number): number {
    const { subscriptions } = this.#state;
    const head = subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    this.#emit(call);
    if (!subscriptions.hasItree(head)) return this.#list.enter(mm, slot, task);
    this.#intervals.invEnd(head);
    return INTERVALS_PASSED;
  }

  #enterList(call: BusCall, slot: number, task: number): number {
    if (this.#state.subscriptions.of(call.mm) === 0) return NO_NOTIFIERS;
    this.#emit(call);
    return this.#list.enter(call.mm, slot, task);
  }

  #emit(call: BusCall | undefined): void {
    if (call !== undefined) this.#state.observers.calls.next(call);
  }
}

/**
 * The first step of a call. might_sleep() comes with it: a step that could wait, though this one never has to, is checked like
 * one that sleeps, and one step is cheaper than two.
 */
function enterStep(label: string, mightSleep: boolean, run: (task: number) => number): IteratorYieldResult<Step> {
  return yielded(mightSleep ? new Step(label, run, always, MIGHT_SLEEP) : new Step(label, run));
}

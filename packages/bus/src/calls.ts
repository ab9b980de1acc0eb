import { type ContextEffect, type Path, Step } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { END_SLOT, eventlessSlot, ONLY_END_SLOT, START_SLOT } from "./chain.js";
import { DeliveryPath, type GoOn, yielded } from "./delivery-path.js";
import { EAGAIN } from "./errno.js";
import { BusError } from "./errors.js";
import { eventIndex, type MmuNotifyEvent } from "./events.js";
import type { NotificationPhase } from "./interest.js";
import type { IntervalDelivery, Unclaimed } from "./interval-delivery.js";
import { INTERVALS_PASSED, type ListDelivery, NO_NOTIFIERS, NOBODY } from "./list-delivery.js";
import { MAP_RELEASE } from "./lock-map.js";
import type { BusCall } from "./observers.js";
import { isBlockable, MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifierRange, setBlockable } from "./range.js";

const START = "mmu_notifier_invalidate_range_start";
const END = "mmu_notifier_invalidate_range_end";
const MIGHT_SLEEP: ContextEffect = { kind: "might-sleep" };
const always = (): boolean => true;

/** The calls that an mm makes on the bus (mm/mmu_notifier.c, __mmu_notifier_invalidate_range_start() and its neighbours). */
export class Calls {
  readonly #state: BusState;
  readonly #list: ListDelivery;
  readonly #intervals: IntervalDelivery;
  /** Steps that enter a list, by mm (twice: with and without might_sleep) and kind of walk. */
  readonly #enterSteps: (IteratorYieldResult<Step> | undefined)[][] = [];
  readonly #goOnStart: GoOn;
  readonly #goOnEnd: GoOn;
  readonly #goOnList: GoOn;

  constructor(state: BusState, list: ListDelivery, intervals: IntervalDelivery) {
    this.#state = state;
    this.#list = list;
    this.#intervals = intervals;
    this.#goOnStart = (path, entered, index) => this.#startWithWork(path, entered, index, undefined);
    this.#goOnEnd = (path, entered, index) => this.#endWithWork(path, entered, index);
    this.#goOnList = (path, entered, index) => this.#listWithWork(path, entered, index);
  }

  start(range: MmuNotifierRange, blockable: boolean): Path<number> {
    const { mm, start, end, event } = range;
    const slot = START_SLOT + this.#eventIndex(event);
    const flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0;
    const owner = range.owner ?? 0;
    const observed = this.#state.observers.calls.observed;
    const call: BusCall | undefined = observed
      ? { call: "invalidate_range_start", mm, start, end, event, flags, owner }
      : undefined;
    setBlockable(range, blockable);
    const enter =
      observed || this.#intervals.defined
        ? enterStep(START, blockable, (task) => this.#enterStart(call, mm, start, end, slot, task))
        : this.#enterStep(mm, slot, START, blockable);
    const goOn: GoOn =
      call === undefined ? this.#goOnStart : (path, entered, index) => this.#startWithWork(path, entered, index, call);
    return new DeliveryPath(
      this.#list,
      "start",
      slot,
      "before",
      enter,
      goOn,
      mm,
      start,
      end,
      event,
      flags,
      owner,
      undefined,
    );
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
    return new DeliveryPath(
      this.#list,
      "end",
      slot,
      "if-notifiers",
      enter,
      this.#goOnEnd,
      mm,
      start,
      end,
      event,
      flags,
      owner,
      undefined,
    );
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
    if (!this.#state.observers.calls.observed) {
      const enter = this.#enterStep(mm, slot, name, false);
      return new DeliveryPath(
        this.#list,
        phase,
        slot,
        "never",
        enter,
        this.#goOnList,
        mm,
        start,
        end,
        undefined,
        0,
        0,
        pte,
      );
    }
    const call: BusCall = { call: name, mm, start, end, ...(pte === undefined ? {} : { pte }) };
    const enter = enterStep(name, false, (task) => this.#enterList(call, slot, task));
    const path = new DeliveryPath(
      this.#list,
      phase,
      slot,
      "never",
      enter,
      this.#goOnList,
      mm,
      start,
      end,
      undefined,
      0,
      0,
      pte,
    );
    return phase.endsWith("young") ? withResult(path, call) : path;
  }

  *#startWithWork(path: DeliveryPath, entered: number, index: number, call: BusCall | undefined): Path<number> {
    const { mm, slot } = path;
    const list = this.#list;
    const outcome: Unclaimed = { unclaimed: undefined };
    const viaIntervals = entered < 0;
    let ret = 0;
    let listed = entered;
    let at = index;
    if (viaIntervals) {
      ret = yield* this.#intervals.invalidate(rangeOf(path), entered, outcome);
      listed = ret === 0 ? yield this.#enterStep(mm, slot, "mn_hlist_invalidate_range_start", false).value : NOBODY;
      if (listed > NOBODY) at = list.deliver(list.callbacks(listed, slot), path.notification());
    }
    if (listed > NOBODY) {
      const main = path.notification();
      let locked = 1;
      if (at < list.callbacks(listed, slot).length) locked = yield* list.walk(listed, slot, at, main);
      if (main.refusals > 0) {
        ret = -EAGAIN;
        yield* list.unwind(listed, slot - START_SLOT, main);
      } else if (locked !== 0) yield list.unlock(listed);
      outcome.unclaimed ??= main.unclaimed;
      if (ret !== 0 && viaIntervals && this.#state.rules.undoIntervalsOnEagain === true)
        yield this.#intervals.invEndStep(mm);
    }
    if (call !== undefined && ret !== 0) setResult(call, ret);
    yield MAP_RELEASE;
    if (outcome.unclaimed !== undefined) throw outcome.unclaimed;
    return (path.flags & MMU_NOTIFIER_RANGE_BLOCKABLE) !== 0 ? 0 : ret;
  }

  *#endWithWork(path: DeliveryPath, entered: number, index: number): Path<number> {
    const { mm, slot } = path;
    const list = this.#list;
    let listed = entered;
    let at = index;
    if (entered === INTERVALS_PASSED) {
      listed = yield this.#enterStep(mm, slot, "mn_hlist_invalidate_end", false).value;
      if (listed > NOBODY) at = list.deliver(list.callbacks(listed, slot), path.notification());
    }
    if (listed > NOBODY) {
      const { length } = list.callbacks(listed, slot);
      if (at === length || (yield* list.walk(listed, slot, at, path.notification())) !== 0) yield list.unlock(listed);
    }
    yield MAP_RELEASE;
    if (path.main?.unclaimed !== undefined) throw path.main.unclaimed;
    return 0;
  }

  *#listWithWork(path: DeliveryPath, entered: number, index: number): Path<number> {
    const main = path.notification();
    if ((yield* this.#list.walk(entered, path.slot, index, main)) !== 0) yield this.#list.unlock(entered);
    if (main.unclaimed !== undefined) throw main.unclaimed;
    return main.young;
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

/** The range that intervals are shown. */
function rangeOf(path: DeliveryPath): MmuNotifierRange {
  const { mm, start, end, flags, owner } = path;
  return { mm, start, end, event: path.event!, flags, owner };
}

function setResult(call: BusCall, ret: number): void {
  (call as { ret?: number }).ret = ret;
}

function* withResult(path: Path<number>, call: BusCall): Path<number> {
  const young = yield* path;
  setResult(call, young);
  return young;
}

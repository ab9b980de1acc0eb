import { nonBlockEnd, nonBlockStart, preemptDisable, preemptEnable, type Path, type Step } from "@mmu-notifier/steps";
import type { Callback } from "./chain.js";
import { NOBODY, NOBODY_LEFT } from "./entered.js";
import { GuardedWork } from "./guarded-work.js";
import { HandWrittenPath, yielded } from "./hand-written-path.js";
import type { ListDelivery } from "./list-delivery.js";
import type { Delivery } from "./notification.js";

const SERVE = 0;
const ENTER = 1;
const BEGIN = 2;
const WORK = 3;
const LEFT = 4;
const ANSWER = 5;
const ANSWERING = 6;
const READ_ON = 7;

/** The section of the context that a callback's work runs in. */
interface Bracket {
  readonly open: IteratorYieldResult<Step>;
  readonly close: IteratorYieldResult<Step>;
}

const NON_BLOCK: Bracket = { open: yielded(nonBlockStart()), close: yielded(nonBlockEnd()) };
const ATOMIC: Bracket = { open: yielded(preemptDisable()), close: yielded(preemptEnable()) };

/**
 * The rest of a walk over a list, from the callback at `index`, which asked for work or did something else that must be answered
 * for. Its result is 1 when the SRCU lock is still held at the end. With `only`, the walk ends with that subscription.
 */
export class Walk extends HandWrittenPath {
  readonly #list: ListDelivery;
  readonly #counter: number;
  readonly #slot: number;
  readonly #main: Delivery;
  readonly #only: boolean;
  #callbacks: readonly Callback[];
  #index: number;
  #delivery: Delivery;
  #bracket: Bracket | undefined;
  #work: GuardedWork<unknown>;
  #state = SERVE;
  #answer: Path | undefined = undefined;

  constructor(list: ListDelivery, entered: number, slot: number, index: number, main: Delivery, only = false) {
    super();
    this.#list = list;
    this.#counter = entered & 1;
    this.#slot = slot;
    this.#main = main;
    this.#only = only;
    this.#callbacks = list.callbacks(entered, slot);
    this.#index = index;
    this.#delivery = list.deliveryOf(this.#callbacks[index]!, main);
    this.#bracket = bracketOf(this.#delivery);
    this.#work = new GuardedWork<unknown>(this.#delivery);
  }

  next(value: number): IteratorResult<Step, number> {
    switch (this.#state) {
      case SERVE:
        return this.#serve();
      case ENTER:
        this.#state = BEGIN;
        return this.#callbacks[this.#index]!.enter;
      case BEGIN:
        this.#state = WORK;
        return this.#stepOrLeave(this.#work.begin(this.#delivery.takeWork()!, this.#delivery));
      case WORK:
        return this.#stepOrLeave(this.#work.advance(value));
      case LEFT:
        if (this.#delivery.hasWork) {
          this.#state = BEGIN;
          return this.#callbacks[this.#index]!.enter;
        }
        this.#state = ANSWER;
        return this.#bracket === undefined ? this.#answerFor() : this.#bracket.close;
      case ANSWER:
        return this.#answerFor();
      case ANSWERING: {
        const next = this.#answer!.next(value);
        return next.done === true ? this.#goOn() : next;
      }
      default:
        return this.#arrived(value);
    }
  }

  #serve(): IteratorResult<Step, number> {
    if (!this.#delivery.hasWork) return this.#answerFor();
    if (this.#bracket === undefined) {
      this.#state = BEGIN;
      return this.#callbacks[this.#index]!.enter;
    }
    this.#state = ENTER;
    return this.#bracket.open;
  }

  #stepOrLeave(step: Step | undefined): IteratorResult<Step, number> {
    if (step !== undefined) return { done: false, value: step };
    this.#state = LEFT;
    return this.#callbacks[this.#index]!.leave;
  }

  /** The subscriber is done with: what else it did, an error or a refusal, is rare and takes steps of its own. */
  #answerFor(): IteratorResult<Step, number> {
    const delivery = this.#delivery;
    delivery.close();
    if (delivery.fault === undefined && !delivery.refused) return this.#goOn();
    this.#state = ANSWERING;
    this.#answer = this.#list.answerFor(this.#callbacks[this.#index]!, delivery, this.#main);
    return this.next(0);
  }

  /** To the second callback of the same subscription, or to the next subscription. */
  #goOn(): IteratorResult<Step, number> {
    const main = this.#main;
    const { row } = this.#callbacks[this.#index]!;
    const twin = this.#callbacks[this.#index + 1];
    if (twin !== undefined && twin.row === row) {
      this.#index++;
      if (this.#list.invoke(twin, main)) return this.#serveNext();
    }
    if (this.#only || (main.phase === "test-young" && main.young !== 0)) return { done: true, value: 1 };
    this.#state = READ_ON;
    return yielded(this.#list.readOn(row, this.#slot, this.#counter, main.keepLocked || main.refusals > 0));
  }

  #arrived(rest: number): IteratorResult<Step, number> {
    if (rest === NOBODY) return { done: true, value: 0 };
    if (rest === NOBODY_LEFT) return { done: true, value: 1 };
    this.#callbacks = this.#list.callbacks(rest, this.#slot);
    this.#index = this.#list.deliver(this.#callbacks, this.#main);
    return this.#index === this.#callbacks.length ? { done: true, value: 1 } : this.#serveNext();
  }

  #serveNext(): IteratorResult<Step, number> {
    this.#delivery = this.#list.deliveryOf(this.#callbacks[this.#index]!, this.#main);
    this.#bracket = bracketOf(this.#delivery);
    this.#work = new GuardedWork<unknown>(this.#delivery);
    return this.#serve();
  }
}

function bracketOf(delivery: Delivery): Bracket | undefined {
  switch (delivery.phase) {
    case "start":
    case "end":
      return delivery.blockable || delivery.unwinding ? undefined : NON_BLOCK;
    case "release":
      return undefined;
    case "invalidate-range":
    case "arch-invalidate-secondary-tlbs":
    case "change-pte":
    case "clear-flush-young":
    case "clear-young":
    case "test-young":
      return ATOMIC;
  }
}

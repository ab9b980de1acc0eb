import type { MmuNotification, MmuNotifyEvent } from "@mmu-notifier/bus";
import type { Costs } from "../costs.js";
import type { Declarations } from "../declarations.js";

/** A callback that did something else than its driver says. */
export interface CallbackBreach {
  readonly event: MmuNotifyEvent;
  readonly phase: "start" | "end";
  /** What is wrong and what mends it. */
  readonly message: string;
}

interface Joined {
  readonly closed: boolean;
  unsubscribe(): void;
}

/** Bits of what was seen of an event, and of what was acted on. */
const START = 1;
const END = 2;
const BOTH = START | END;

/**
 * Watches the callbacks of one binding: counts them, and compares what they act on with what is declared. Which notifications a
 * callback acts on depends on event, owner and flags only (law 4), so what was acted on once on one side and never on the other is
 * a filter on one side.
 */
export class CallbackWatch {
  readonly #costs: Costs;
  readonly #filters: readonly MmuNotifyEvent[];
  readonly #breach: (breach: CallbackBreach) => void;
  readonly #subscriptions: Joined[] = [];
  readonly #seen = new Map<MmuNotifyEvent, number>();
  readonly #acted = new Map<MmuNotifyEvent, number>();
  readonly #told = new Set<string>();
  #started = 0;

  constructor(costs: Costs, { filters }: Declarations, breach: (breach: CallbackBreach) => void) {
    this.#costs = costs;
    this.#filters = filters;
    this.#breach = breach;
  }

  joined(subscription: Joined): void {
    this.#subscriptions.push(subscription);
  }

  /** Ends what is still subscribed and returns how much that was. */
  leftSubscribed(): number {
    const left = this.#subscriptions.filter(({ closed }) => !closed);
    for (const subscription of left) subscription.unsubscribe();
    return left.length;
  }

  /** A range counts once, at its start; at its end for a driver that hears no starts. */
  count({ phase }: MmuNotification): void {
    if (phase === "start") this.#started++;
    if (phase !== "end" || this.#started === 0) this.#costs.count("callbacks");
    else this.#started--;
  }

  decided({ acted, event, phase }: MmuNotification): void {
    if (event === undefined || (phase !== "start" && phase !== "end")) return;
    const bit = phase === "start" ? START : END;
    this.#seen.set(event, (this.#seen.get(event) ?? 0) | bit);
    if (acted) {
      this.#acted.set(event, (this.#acted.get(event) ?? 0) | bit);
      if (this.#filters.includes(event))
        this.#tell(
          event,
          phase,
          "declares.filters lists the event, but the callback acts on it. Take it off the list, or leave the event alone",
        );
    }
    if (phase === "end") this.#checkSides(event);
  }

  #checkSides(event: MmuNotifyEvent): void {
    const acted = this.#acted.get(event) ?? 0;
    if (this.#seen.get(event) !== BOTH || acted === 0 || acted === BOTH) return;
    // A driver that acts on one side of every event has no protocol of pairs: that is no filter.
    if (![...this.#acted.values()].includes(BOTH)) return;
    const [does, not] = acted === START ? ["start", "end"] : ["end", "start"];
    this.#tell(
      event,
      not as "start" | "end",
      `the callback acts on ${does} of this event and not on ${not}, though it acts on both sides of others: what counts in pairs is now wrong. Filter an event in both or in neither, best with exceptEvents() in the pipeline`,
    );
  }

  #tell(event: MmuNotifyEvent, phase: "start" | "end", message: string): void {
    const key = `${event} ${message}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#breach({ event, phase, message });
  }
}

import type { Observable, Subscriber, Subscription } from "rxjs";
import type { BusState } from "./bus-state.js";
import { BusError } from "./errors.js";
import type { Interest } from "./interest.js";
import type { ListDelivery } from "./list-delivery.js";
import type { MmuNotification } from "./notification.js";
import type { NamedObserver, StreamHost } from "./notification-stream.js";
import type { NotifierOps } from "./notifier-ops.js";
import type { Registration } from "./registration.js";

/** The ops of one stream subscriber. */
class StreamOps implements NotifierOps {
  readonly name: string;
  readonly interest: Interest;
  readonly #subscriber: Subscriber<MmuNotification>;

  constructor(name: string, interest: Interest, subscriber: Subscriber<MmuNotification>) {
    this.name = name;
    this.interest = interest;
    this.#subscriber = subscriber;
  }

  next(notification: MmuNotification): void {
    this.#subscriber.next(notification);
  }
}

/** A subscribe call that is under way. */
interface Frame {
  readonly name: string;
  readonly register: boolean;
  readonly rows: number[];
  error: Error | undefined;
}

/** Joins RxJS subscribers to the lists. All of it happens at set-up and tear-down, when no path runs. */
export class StreamSubscribers implements StreamHost {
  readonly #state: BusState;
  readonly #delivery: ListDelivery;
  readonly #registration: Registration;
  readonly #rows = new WeakMap<Subscription, number>();
  #frame: Frame | undefined = undefined;
  #preparing = false;

  constructor(state: BusState, delivery: ListDelivery, registration: Registration) {
    this.#state = state;
    this.#delivery = delivery;
    this.#registration = registration;
  }

  join(mm: number, interest: Interest, streamName: string, subscriber: Subscriber<MmuNotification>): () => void {
    const frame = this.#frame;
    try {
      this.#registration.sweep();
      const kind = this.#state.ops.length;
      const name = frame?.name || streamName || `subscriber ${kind}`;
      this.#state.ops.push(new StreamOps(name, interest, subscriber));
      const row = this.#state.subscriptions.alloc(kind);
      frame?.rows.push(row);
      if (frame?.register !== false) this.#registration.registerNow(row, mm);
      return () => this.#registration.leaveNow(row);
    } catch (error) {
      if (frame === undefined || !(error instanceof Error)) throw error;
      frame.error = error;
      return () => undefined;
    }
  }

  caught(cause: unknown, name: string): void {
    this.#delivery.caught(cause, name);
  }

  subscribing(name: string, subscribe: () => Subscription): Subscription {
    const outer = this.#frame;
    const register = !this.#preparing && outer?.register !== false;
    const frame: Frame = { name: name || (outer?.name ?? ""), register, rows: [], error: undefined };
    this.#frame = frame;
    this.#preparing = false;
    let subscription: Subscription;
    try {
      subscription = subscribe();
    } finally {
      this.#frame = outer;
    }
    if (frame.error !== undefined) {
      subscription.unsubscribe();
      for (const row of frame.rows) this.#registration.leaveNow(row);
      throw frame.error;
    }
    if (frame.rows.length > 0) this.#rows.set(subscription, frame.rows[0]!);
    outer?.rows.push(...frame.rows);
    return subscription;
  }

  /** Subscribes without joining a list. */
  prepare<T>(
    stream: Observable<T>,
    observer: NamedObserver<T> | ((value: T) => void),
  ): { subscription: number; stream: Subscription } {
    this.#preparing = true;
    let subscription: Subscription;
    try {
      subscription = stream.subscribe(observer);
    } finally {
      this.#preparing = false;
    }
    const row = this.rowOf(subscription);
    if (row === 0) {
      subscription.unsubscribe();
      throw new BusError(
        "BUS_STREAM_FOREIGN",
        "prepare() wants a stream made by this bus's notifications(), piped or not",
      );
    }
    return { subscription: row, stream: subscription };
  }

  rowOf(subscription: Subscription): number {
    return this.#rows.get(subscription) ?? 0;
  }
}

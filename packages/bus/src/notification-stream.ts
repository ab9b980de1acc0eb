import { Observable, type Observer, type Operator, Subscriber, type Subscription } from "rxjs";
import { BusError } from "./errors.js";
import { ALL, type Interest } from "./interest.js";
import type { MmuNotification } from "./notification.js";

/** What a stream needs from its bus. */
export interface StreamHost {
  /** A subscriber joins the list of an mm; the function returned makes it leave. */
  join(mm: number, interest: Interest, name: string, subscriber: Subscriber<MmuNotification>): () => void;
  /** A subscriber threw what RxJS would swallow. */
  caught(cause: unknown, name: string): void;
  /** Runs a whole subscribe call by `name` and remembers which rows of the list belong to what it returns. */
  subscribing(name: string, subscribe: () => Subscription): Subscription;
}

/** Who watches what a stream delivers. */
interface DeliveryCounter {
  /** Before the subscriber sees it. */
  count(notification: unknown): void;
  /** After the subscriber has decided. */
  decided?(notification: unknown): void;
  /** Somebody subscribed. */
  joined?(subscription: Subscription): void;
}

/** What is wrong with a callback that is an async function. */
function asyncCallback(promise: Promise<unknown>): BusError {
  promise.catch(() => undefined);
  return new BusError(
    "BUS_CALLBACK_ASYNC",
    "the callback is an async function: what it does after its first await comes when the kernel has gone on. Make it an ordinary function that gives its work to waitUntil(function* () { … })",
  );
}

/** An observer with a name of its own. */
export type NamedObserver<T> = Partial<Observer<T>> & { readonly name?: string };

/**
 * The notifications of one mm, as RxJS knows streams, with three differences.
 *
 * - Operators that narrow (`exceptEvents`, `onlyEvents`, `phases`, `ranges`, `invalidations`) change what the subscriber joins the
 *   list for, so that what they filter costs nothing.
 * - What a subscriber throws is caught and handed to the bus with its name; RxJS would report it after the fact and to nobody.
 * - Joining is mmu_notifier_register() at once, unsubscribing unhashes at once; see {@link NotifierBus.prepare} for races.
 *
 * The stream never completes by itself. Operators of RxJS that keep state (`take`, `scan`) are fine for observers; a driver that is to
 * be checked keeps its state in the machine's memory.
 *
 * @public
 */
export class NotificationStream<T = MmuNotification> extends Observable<T> {
  readonly #host: StreamHost;
  readonly #mm: number;
  readonly #interest: Interest;
  readonly #name: string;
  readonly #delivered: DeliveryCounter | undefined;
  /** No run-time operator stands between the list and this stream. */
  readonly #direct: boolean;

  /** @internal */
  constructor(
    host: StreamHost,
    mm: number,
    interest: Interest = ALL,
    name = "",
    source?: NotificationStream<unknown>,
    operator?: Operator<unknown, T>,
    delivered?: DeliveryCounter,
  ) {
    super(source === undefined ? joinList : undefined);
    this.#host = host;
    this.#mm = mm;
    this.#interest = interest;
    this.#name = name;
    this.#delivered = delivered;
    this.#direct = source === undefined;
    if (source !== undefined) {
      this.source = source;
      this.operator = operator;
    }

    function joinList(this: Observable<T>, subscriber: Subscriber<T>): () => void {
      return (this as NotificationStream<T>).#join(subscriber);
    }
  }

  /** Number of the mm. */
  get mm(): number {
    return this.#mm;
  }

  /** What a subscriber joins the list for. */
  get interest(): Interest {
    return this.#interest;
  }

  /** True while only narrowing was done, so that {@link narrow} can still be had for nothing. */
  get isDirect(): boolean {
    return this.#direct;
  }

  /** The same stream for fewer phases and events. Only where {@link isDirect}. */
  narrow(interest: Interest): NotificationStream<T> {
    return this.#with(this.#interest & interest, this.#name, this.#delivered);
  }

  /** The same stream under a name that errors will show. */
  named(name: string): NotificationStream<T> {
    return this.#with(this.#interest, name, this.#delivered);
  }

  /** The same stream, counting everything that gets through to a subscriber, before the subscriber sees it. */
  counted(delivered: DeliveryCounter): NotificationStream<T> {
    return this.#with(this.#interest, this.#name, delivered);
  }

  override lift<R>(operator?: Operator<T, R>): NotificationStream<R> {
    return new NotificationStream<R>(this.#host, this.#mm, this.#interest, this.#name, this, operator, this.#delivered);
  }

  /**
   * Joins the mm's list, newest first.
   *
   * @param observerOrNext - called for each notification; an observer may carry a `name`
   * @throws BusError BUS_MIXED_OPS, BUS_MM_NOT_ATTACHED, BUS_REGISTER_DEAD_MM
   */
  override subscribe(observerOrNext?: NamedObserver<T> | ((value: T) => void) | null): Subscription {
    if (observerOrNext instanceof Subscriber) return super.subscribe(observerOrNext);
    const host = this.#host;
    const delivered = this.#delivered;
    const observer: NamedObserver<T> =
      typeof observerOrNext === "function" ? { next: observerOrNext } : (observerOrNext ?? {});
    const name = observer.name ?? (this.#name || (typeof observerOrNext === "function" ? observerOrNext.name : ""));
    const subscription = host.subscribing(name, () =>
      super.subscribe({
        next: (value: T) => {
          try {
            delivered?.count(value);
            const returned: unknown = observer.next?.(value);
            if (returned instanceof Promise) throw asyncCallback(returned);
            delivered?.decided?.(value);
          } catch (cause) {
            host.caught(cause, name);
          }
        },
        error: (cause: unknown) => {
          host.caught(cause, name);
          observer.error?.(cause);
        },
        complete: () => observer.complete?.(),
      }),
    );
    delivered?.joined?.(subscription);
    return subscription;
  }

  #with(interest: Interest, name: string, delivered: DeliveryCounter | undefined): NotificationStream<T> {
    const source = this.#direct ? undefined : (this.source as NotificationStream<unknown>);
    return new NotificationStream<T>(this.#host, this.#mm, interest, name, source, this.operator, delivered);
  }

  #join(subscriber: Subscriber<T>): () => void {
    return this.#host.join(this.#mm, this.#interest, this.#name, subscriber as Subscriber<MmuNotification>);
  }
}

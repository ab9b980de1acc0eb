import { type ErrorDetails, MmuNotifierError } from "@mmu-notifier/steps";

/** What a BUG_ON() or a misuse of the bus is about. */
export type BusErrorCode =
  | "BUS_REGISTER_DEAD_MM"
  | "BUS_UNREGISTER_FREED_MM"
  | "BUS_DESTROY_WITH_SUBSCRIBERS"
  | "BUS_FREE_IN_USE"
  | "BUS_NOT_ALLOCATED"
  | "BUS_MM_NOT_ATTACHED"
  | "BUS_MMAP_LOCK_NOT_HELD"
  | "BUS_MIXED_OPS"
  | "BUS_EVENT_UNKNOWN"
  | "BUS_CALL_UNKNOWN"
  | "BUS_NOTIFICATION_OVER"
  | "BUS_CALLBACK_ASYNC"
  | "BUS_WORK_NO_PATH"
  | "BUS_WORK_ENDLESS"
  | "BUS_REFUSE_NOT_ALLOWED"
  | "BUS_YOUNG_NOT_ALLOWED"
  | "BUS_STREAM_FOREIGN"
  | "BUS_ALIGNMENT"
  | "BUS_TOO_MANY";

/**
 * Where the kernel has BUG_ON(), and where the bus is used against its contract.
 *
 * @public
 */
export class BusError extends MmuNotifierError {
  declare readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, details: ErrorDetails = {}) {
    super(code, message, details);
  }
}

/**
 * A subscriber threw. `cause` is what it threw; the other subscribers were still served.
 *
 * @public
 */
export class SubscriberError extends MmuNotifierError {
  /** The name given to the stream, or `subscriber N`. */
  readonly subscriber: string;

  constructor(subscriber: string, what: string, cause: unknown, details: ErrorDetails = {}) {
    super(
      "BUS_SUBSCRIBER_THREW",
      `subscriber ${subscriber} threw in ${what}: ${cause instanceof Error ? cause.message : String(cause)}. The others were served; repair ${subscriber}`,
      { subscriber, ...details },
      { cause },
    );
    this.subscriber = subscriber;
  }
}

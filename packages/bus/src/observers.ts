import type { ErrorDetails } from "@mmu-notifier/steps";
import { Subject } from "rxjs";
import type { SubscriberError } from "./errors.js";
import type { MmuNotifyEvent } from "./events.js";
import type { NotificationPhase } from "./interest.js";

/** One kernel-level call on the bus, as a tracer of the kernel sees it. */
export interface BusCall {
  readonly call:
    | "invalidate_range_start"
    | "invalidate_range_end"
    | "invalidate_range"
    | "arch_invalidate_secondary_tlbs"
    | "change_pte"
    | "clear_flush_young"
    | "clear_young"
    | "test_young"
    | "release";
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event?: MmuNotifyEvent;
  readonly flags?: number;
  readonly owner?: number;
  /** range_end without the hook (up to v6.5). */
  readonly onlyEnd?: boolean;
  /** The new entry of change_pte. */
  readonly pte?: number;
  /** What the call returned. Filled in when it returns, so absent while the item is emitted, and absent for 0 of a start. */
  readonly ret?: number;
}

/** What the kernel would WARN about. */
export type BusWarningCode =
  | "WARN_START_FAILED_BLOCKABLE"
  | "WARN_START_FAILED_HAS_END"
  | "WARN_INTERVAL_REFUSED_BLOCKABLE"
  | "WARN_INTERVAL_REFUSED_RELEASE"
  | "WARN_INTERVAL_IDLE_BUT_ODD"
  | "WARN_INTERVAL_DEAD_MM"
  | "WARN_INTERVAL_NOT_INSERTED"
  | "WARN_READ_RETRY_UNLOCKED"
  | "WARN_PUT_WITHOUT_USERS"
  | "WARN_MIXED_OPS";

/** A WARN_ON() that fired: the kernel prints a splat and goes on. */
export interface BusWarning {
  readonly code: BusWarningCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

/** Streams for those who watch. Nothing is made for a stream that nobody observes. */
export class Observers {
  readonly calls = new Subject<BusCall>();
  readonly warnings = new Subject<BusWarning>();
  readonly faults = new Subject<SubscriberError>();

  warn(code: BusWarningCode, message: string, details: ErrorDetails): void {
    if (this.warnings.observed) this.warnings.next({ code, message, details });
  }

  /** Hands a subscriber's error to whoever takes care of them, or throws it. */
  raise(error: SubscriberError): void {
    if (!this.faults.observed) throw error;
    this.faults.next(error);
  }
}

const CALLBACK_NAMES: Readonly<Record<NotificationPhase, string>> = {
  start: "invalidate_range_start",
  end: "invalidate_range_end",
  "invalidate-range": "invalidate_range",
  "arch-invalidate-secondary-tlbs": "arch_invalidate_secondary_tlbs",
  "change-pte": "change_pte",
  "clear-flush-young": "clear_flush_young",
  "clear-young": "clear_young",
  "test-young": "test_young",
  release: "release",
};

/** The member of mmu_notifier_ops that a phase stands for. */
export function callbackName(phase: NotificationPhase): string {
  return CALLBACK_NAMES[phase];
}

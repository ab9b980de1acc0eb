import type { Path } from "@mmu-notifier/steps";
import type { FaultCode } from "./hardware/translation-result.js";

/** A translation that failed. */
export interface DeviceFault {
  readonly code: FaultCode;
  readonly vpn: number;
  readonly write: boolean;
}

/** The access is tried again, from the nearest cache on. */
export const FAULT_RETRY = 1;
/** The access ends without effect. */
export const FAULT_ABORT = 2;

/** What a device and its driver do about a failed translation. */
export interface FaultStrategy {
  /** `abort`, `stall`, `pri`, `software`, or the author's own word. */
  readonly name: string;
  /** @returns {@link FAULT_RETRY} or {@link FAULT_ABORT} */
  handle(fault: DeviceFault): Path<number>;
}

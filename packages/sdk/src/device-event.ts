import { Subject } from "rxjs";
import type { FaultCode } from "./hardware/translation-result.js";

/** What a device reports to observers, in the order it happens. Pages, never bytes. */
export type DeviceEvent =
  | {
      readonly kind: "lookup";
      readonly cache: "iotlb" | "atc" | "walk-cache" | "spte" | "vcpu-tlb";
      readonly asid: number;
      readonly vpn: number;
      readonly hit: boolean;
    }
  | { readonly kind: "walk-read"; readonly vpn: number; readonly level: number; readonly entry: number }
  | {
      readonly kind: "insert";
      readonly cache: "iotlb" | "atc" | "walk-cache" | "spte" | "vcpu-tlb";
      readonly asid: number;
      readonly vpn: number;
      readonly pages: number;
      readonly pfn: number;
      readonly write: boolean;
    }
  | {
      readonly kind: "evict";
      readonly cache: "iotlb" | "atc" | "walk-cache" | "spte" | "vcpu-tlb";
      readonly asid: number;
      readonly vpn: number;
      readonly needless: boolean;
    }
  | {
      readonly kind: "command";
      readonly mnemonic: string;
      readonly asid: number;
      readonly start: number;
      readonly pages: number;
    }
  | {
      readonly kind: "executed";
      readonly mnemonic: string;
      readonly asid: number;
      readonly start: number;
      readonly pages: number;
    }
  | {
      readonly kind: "fault";
      readonly code: FaultCode;
      readonly vpn: number;
      readonly write: boolean;
      readonly stag?: number;
    }
  | { readonly kind: "response"; readonly response: string; readonly vpn: number; readonly write: boolean }
  | {
      readonly kind: "access";
      readonly vpn: number;
      readonly pfn: number;
      readonly write: boolean;
      readonly value: number;
    }
  | {
      readonly kind: "error";
      readonly code: DeviceErrorCode;
      readonly message: string;
    };

/** What hardware and drivers complain about. */
type DeviceErrorCode = "CMDQ_TIMEOUT" | "CERROR_ATC_INV_SYNC" | "PRIQ_OVERFLOW" | "KVM_BUG_ON" | "WARN_MN_ACTIVE";

/** An event that says that something is wrong. */
export type DeviceError = Extract<DeviceEvent, { readonly kind: "error" }>;

/**
 * The stream of one device's events. Nothing is built while nobody watches: test {@link observed} first.
 *
 * @public
 */
export class DeviceEvents {
  readonly #subject = new Subject<DeviceEvent>();
  readonly #errors = new Subject<DeviceError>();
  readonly stream = this.#subject.asObservable();
  /** Errors alone: watching them does not make the others being built. */
  readonly errors = this.#errors.asObservable();

  get observed(): boolean {
    return this.#subject.observed;
  }

  emit(event: DeviceEvent): void {
    this.#subject.next(event);
  }

  /** What hardware or a driver's own checks complain about; inside a step. */
  error(code: DeviceErrorCode, message: string): void {
    const event = { kind: "error", code, message } as const;
    this.#errors.next(event);
    this.#subject.next(event);
  }
}

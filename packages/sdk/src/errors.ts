import { type ErrorDetails, MmuNotifierError } from "@mmu-notifier/steps";

/** What the sdk refuses. */
export type SdkErrorCode =
  | "SDK_DEFINITION_INVALID"
  | "SDK_VERSION_UNSUPPORTED"
  | "SDK_OPTIONS_INVALID"
  | "SDK_ASIDS_EXHAUSTED"
  | "SDK_BIND_FAILED"
  | "SDK_BINDING_INVALID"
  | "SDK_HARDWARE_CONFIG"
  | "SDK_MEMSLOT_INVALID";

/**
 * A driver is not what the sdk expects, or uses a building block in a way that no hardware has.
 *
 * @public
 */
export class SdkError extends MmuNotifierError {
  declare readonly code: SdkErrorCode;

  constructor(code: SdkErrorCode, message: string, details: ErrorDetails = {}) {
    super(code, message, details);
  }
}

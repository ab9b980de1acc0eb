import { type ErrorDetails, MmuNotifierError } from "@mmu-notifier/steps";

/** What is wrong with a machine or a plugin, as a stable code. */
export type MachineErrorCode =
  /** No plugin of that kind and name. */
  | "PLUGIN_UNKNOWN"
  /** Two plugins of one kind have the same name. */
  | "PLUGIN_DUPLICATE"
  /** Code of a plugin that is no driver threw. */
  | "PLUGIN_THREW"
  /** The object is no plugin. */
  | "PLUGIN_INVALID"
  /** The file or package cannot be found. */
  | "PLUGIN_NOT_FOUND"
  /** The file or package threw while it was loaded. */
  | "PLUGIN_LOAD_FAILED"
  /** Code of a driver threw. */
  | "DRIVER_THREW"
  /** A driver does something else than it declares, or than the kernel allows; the machine went on. */
  | "DRIVER_CONTRACT"
  /** A driver keeps state outside the machine's memory. */
  | "DRIVER_HIDDEN_STATE"
  /** A device of that name is attached already. */
  | "DEVICE_DUPLICATE"
  /** The driver refused the binding. */
  | "DEVICE_BIND_FAILED"
  /** The machine or the process was closed. */
  | "MACHINE_CLOSED"
  /** A clean-up function threw. */
  | "MACHINE_TEARDOWN";

/**
 * A machine that cannot be put together, or a plugin that does not do its part.
 *
 * @public
 */
export class MachineError extends MmuNotifierError {
  declare readonly code: MachineErrorCode;

  constructor(code: MachineErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(code, message, details, options);
  }
}

/** The message of whatever was thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** What to throw when code of a plugin that is no driver threw. */
export function pluginThrew(word: string, name: string, origin: string, cause: unknown): MachineError {
  return new MachineError(
    "PLUGIN_THREW",
    `${word} ${name} (${origin}) threw: ${messageOf(cause)}. Repair it, or leave it out`,
    { name, origin },
    { cause },
  );
}

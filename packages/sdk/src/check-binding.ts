import type { Binding } from "./binding.js";
import { SdkError } from "./errors.js";

/** What a binding must have, as paths from it to functions. */
const FUNCTIONS = ["translation.translate", "fault.handle", "unbind", "entries"] as const;

/** Follows a dotted path; undefined when it leads nowhere. */
function at(value: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((part, name) => (part as Readonly<Record<string, unknown>> | null | undefined)?.[name], value);
}

/**
 * Checks what a driver's `create` returned, so that a part that is missing is named when the device is attached.
 *
 * @throws SdkError SDK_DEFINITION_INVALID
 */
export function checkBinding(binding: Binding, driver: string): void {
  const missing = FUNCTIONS.find((path) => typeof at(binding, path) !== "function");
  if (missing === undefined) return;
  throw new SdkError(
    "SDK_DEFINITION_INVALID",
    `create of driver ${driver} returned ${typeof binding === "object" && binding !== null ? `an object without ${missing}()` : String(binding)}. Return { translation, fault, connection, unbind, entries }`,
    { driver, missing },
  );
}

import type { Binding } from "./binding.js";
import { SdkError } from "./errors.js";

type Fields = Readonly<Record<string, unknown>>;

/** What a binding must have: the field, and what it is for. */
const FUNCTIONS: readonly (readonly [field: string, remedy: string])[] = [
  ["unbind", "write unbind: function* () { … } that makes every cached translation unusable"],
  ["entries", "write entries: () => […] with every translation that is usable now; without caches () => []"],
];

/**
 * Checks what a driver's `create` returned and gives it its type.
 *
 * @throws SdkError SDK_BINDING_INVALID; the message names the driver, the field and the remedy
 */
export function checkBinding(candidate: unknown, driver: string): Binding {
  const refuse = (what: string, remedy: string): never => {
    throw new SdkError("SDK_BINDING_INVALID", `create of driver ${driver} returned ${what}. ${remedy}`, { driver });
  };
  if (candidate instanceof Promise) {
    candidate.catch(() => undefined);
    refuse(
      "a Promise",
      "Make create an ordinary function: a machine is put together at once, and what must be waited for is done in attach",
    );
  }
  if (typeof candidate !== "object" || candidate === null)
    return refuse(
      candidate === undefined ? "nothing" : `a ${candidate === null ? "null" : typeof candidate}`,
      "Return { translation, fault, unbind, entries }",
    );
  const fields = candidate as Fields;
  if (!has(fields["translation"], "translate"))
    refuse(
      "a binding without a translation",
      "Write translation: chain(…) of the stages from the device to the page table",
    );
  if (!has(fields["fault"], "handle"))
    refuse(
      "a binding without a fault strategy",
      "Write fault: abortOnFault(), softwareFault(…), or { name, *handle(fault) { … } }",
    );
  if (fields["connection"] !== undefined && !has(fields["connection"], "unsubscribe"))
    refuse(
      "a connection that cannot be ended",
      "Write connection: what notifications.pipe(…).subscribe(…) returns, or leave it out",
    );
  for (const [field, remedy] of FUNCTIONS)
    if (typeof fields[field] !== "function")
      refuse(`a binding without ${field}`, `${remedy[0]!.toUpperCase()}${remedy.slice(1)}`);
  if (fields["attach"] !== undefined && typeof fields["attach"] !== "function")
    refuse("an attach that is no function", "Make it function* () { … return 0; }, or leave it out");
  return candidate as Binding;
}

function has(value: unknown, method: string): boolean {
  return typeof value === "object" && value !== null && typeof (value as Fields)[method] === "function";
}

import { type Path, step } from "@mmu-notifier/steps";
import type { BoundDevice } from "./host/device.js";
import { FAULT_RETRY } from "./fault-strategy.js";
import { AccessRequest } from "./hardware/translation.js";
import {
  FAULT_CODES,
  type FaultCode,
  faultName,
  leafPfn,
  TRANSLATION_KILLED,
  type TranslationResult,
} from "./hardware/translation-result.js";

/** Result of {@link deviceAccessOnce}: the access begins again. */
export const ACCESS_RETRY = -1;
const ABORTED = -0x100;

/** What an access came to. */
export type AccessOutcome =
  | { readonly kind: "value"; readonly value: number }
  | { readonly kind: "retry" }
  | { readonly kind: "abort"; readonly fault: FaultCode };

/**
 * Watches a device use a translation: called in the step that makes the access, before memory is touched. `leaf` is what the caches
 * or the walk gave.
 */
export type UseWatcher = (vpn: number, leaf: TranslationResult, write: boolean) => void;

/** Unpacks a result of {@link deviceAccess} or {@link deviceAccessOnce}. */
export function decodeAccess(result: number): AccessOutcome {
  if (result >= 0) return { kind: "value", value: result };
  if (result === ACCESS_RETRY) return { kind: "retry" };
  return { kind: "abort", fault: faultName(result - ABORTED) ?? "F_TRANSLATION" };
}

/** The result of an access that ends with a fault. */
export function abortedBy(fault: FaultCode): number {
  return ABORTED - FAULT_CODES[fault];
}

/**
 * One attempt of a device's access, as the hardware makes it: translate, use, or report the fault and have it handled. The beginning
 * is a loop head: nothing is remembered from earlier attempts.
 *
 * @param value byte that a write stores
 * @returns the byte read (or written), {@link ACCESS_RETRY}, or a negative number that {@link decodeAccess} explains
 */
export function* deviceAccessOnce(
  bound: BoundDevice,
  vpn: number,
  access: "read" | "write",
  value = 0,
  watch?: UseWatcher,
): Path<number> {
  const write = access === "write";
  const { binding, context } = bound;
  const { costs } = context;
  const request = new AccessRequest(vpn, write);
  const result = yield* binding.translation.translate(request);
  if (result === TRANSLATION_KILLED) return ACCESS_RETRY;
  if (result > 0) {
    const { held } = request;
    return yield step(`device ${access}`, () => {
      held.end();
      watch?.(vpn, result, write);
      return use(bound, vpn, result, write, value);
    });
  }
  const code = faultName(result) ?? "F_TRANSLATION";
  costs.count("faults");
  const decision = yield* binding.fault.handle({ code, vpn, write });
  if (decision === FAULT_RETRY) {
    costs.count("retries");
    return ACCESS_RETRY;
  }
  costs.count("aborts");
  return abortedBy(code);
}

/**
 * An access that the cache nearest the device answers by itself, made at once: for straight runs with many accesses. What it leaves
 * behind, and what it counts, is what {@link deviceAccessOnce} would.
 *
 * @returns the byte read (or written), or {@link ACCESS_RETRY} when the access needs more than that cache
 */
export function deviceAccessOnHit(bound: BoundDevice, vpn: number, access: "read" | "write", value = 0): number {
  const write = access === "write";
  const leaf = bound.binding.translation.hit?.(vpn, write) ?? 0;
  return leaf > 0 ? use(bound, vpn, leaf, write, value) : ACCESS_RETRY;
}

/** The access reaches memory. */
function use({ context, pages }: BoundDevice, vpn: number, leaf: number, write: boolean, value: number): number {
  const { costs, events } = context;
  costs.count("accesses");
  const pfn = leafPfn(leaf);
  if (write) pages.setContent(pfn, value);
  const content = write ? value : pages.content(pfn);
  if (events.observed) events.emit({ kind: "access", vpn, pfn, write, value: content });
  return content;
}

/**
 * A device's access until it is through or aborted. Never ends when the device retries for ever: a straight run uses
 * `accessUntilResolved`, a checker takes {@link deviceAccessOnce} as the body of its own loop.
 */
export function* deviceAccess(bound: BoundDevice, vpn: number, access: "read" | "write", value = 0): Path<number> {
  for (;;) {
    const result = yield* deviceAccessOnce(bound, vpn, access, value);
    if (result !== ACCESS_RETRY) return result;
  }
}

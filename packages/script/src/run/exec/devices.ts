import { type AddressSpace, type Device } from "@mmu-notifier/machine";
import type { Path } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { ARENA_PAGE } from "../../script.js";
import type { Outcome } from "../results.js";

/** A device's accesses as a path; it never ends when the device retries for ever. */
export function* deviceAccess(
  device: Device,
  op: OpOf<"device-access">,
  value: number,
  process: AddressSpace,
): Path<Outcome> {
  for (let done = 0; done < op.pages; done++) {
    const vpn = ARENA_PAGE + op.start + done;
    const result = yield* op.write ? device.write(vpn, op.value ?? value, process) : device.read(vpn, process);
    const outcome = device.outcome(result);
    if (outcome.kind === "abort") return { err: outcome.fault, at: op.start + done, done };
    if (op.pages === 1) return op.write || outcome.kind !== "value" ? { ret: 0 } : { val: outcome.value };
  }
  return { ret: op.pages };
}

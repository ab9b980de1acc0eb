import type { BusWarning } from "@mmu-notifier/bus";
import type { Machine } from "@mmu-notifier/machine";
import type { Unsubscribable } from "rxjs";
import type { Report } from "../engine/model.js";
import type { Verdict } from "../engine/verdict.js";
import type { Seen } from "./observed.js";

/** WARN_ON()s of the bus that mean a broken rule, and what they stand for. */
const WARNINGS: Readonly<Record<BusWarning["code"], Verdict>> = {
  WARN_START_FAILED_BLOCKABLE: "CONTRACT",
  WARN_START_FAILED_HAS_END: "CONTRACT",
  WARN_INTERVAL_REFUSED_BLOCKABLE: "CONTRACT",
  WARN_INTERVAL_REFUSED_RELEASE: "CONTRACT",
  WARN_INTERVAL_IDLE_BUT_ODD: "IMBALANCE",
  WARN_INTERVAL_DEAD_MM: "UAF",
  WARN_INTERVAL_NOT_INSERTED: "CONTRACT",
  WARN_READ_RETRY_UNLOCKED: "CONTRACT",
  WARN_PUT_WITHOUT_USERS: "IMBALANCE",
  WARN_MIXED_OPS: "CONTRACT",
};

/** Turns what the kernel, the hardware or a driver's own checks complain about in a step into what is wrong with that step. */
export function hearComplaints(machine: Machine, seen: Seen): readonly Unsubscribable[] {
  const note = (report: Report): void => {
    seen.report ??= report;
  };
  return [
    machine.kernel.bus.warnings.subscribe(({ code, message }) =>
      note({ verdict: WARNINGS[code], about: code, what: message }),
    ),
    ...machine.devices.map((device) =>
      device.errors.subscribe(({ code, message }) => {
        if (code === "KVM_BUG_ON" || code === "WARN_MN_ACTIVE")
          note({
            verdict: "IMBALANCE",
            about: `${device.name}'s invalidation counts`,
            what: `${device.name}: ${message}`,
          });
      }),
    ),
  ];
}

import { BusError } from "./errors.js";

/**
 * enum mmu_notifier_event, in the order of the patched header: PROTECTION_UPGRADE sits between PROTECTION_PAGE and
 * SOFT_DIRTY. Mainline has no such event; see {@link BusRules.hasUpgradeEvent}.
 *
 * @public
 */
export const MMU_NOTIFY_EVENTS = [
  "MMU_NOTIFY_UNMAP",
  "MMU_NOTIFY_CLEAR",
  "MMU_NOTIFY_PROTECTION_VMA",
  "MMU_NOTIFY_PROTECTION_PAGE",
  "MMU_NOTIFY_PROTECTION_UPGRADE",
  "MMU_NOTIFY_SOFT_DIRTY",
  "MMU_NOTIFY_RELEASE",
  "MMU_NOTIFY_MIGRATE",
  "MMU_NOTIFY_EXCLUSIVE",
] as const;

/** Why a range is invalidated. */
export type MmuNotifyEvent = (typeof MMU_NOTIFY_EVENTS)[number];

const INDEX: Readonly<Record<string, number>> = Object.fromEntries(
  MMU_NOTIFY_EVENTS.map((event, index) => [event, index]),
);

/**
 * The position of an event in {@link MMU_NOTIFY_EVENTS}.
 *
 * @throws BusError BUS_EVENT_UNKNOWN
 */
export function eventIndex(event: MmuNotifyEvent): number {
  const index = INDEX[event];
  if (index === undefined) {
    throw new BusError(
      "BUS_EVENT_UNKNOWN",
      `${event as string} is no MMU notifier event. Known are ${MMU_NOTIFY_EVENTS.join(", ")}`,
      { event },
    );
  }
  return index;
}

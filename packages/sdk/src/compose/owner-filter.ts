import type { MmuNotifierRange, MmuNotifyEvent } from "@mmu-notifier/bus";

/**
 * A filter for {@link IntervalMirrorOptions.ignores}: ranges that this driver caused itself, known by its owner token. Owner 0 is
 * nobody and never matches: v6.12 undoes device-exclusive access under EXCLUSIVE with owner 0, which its holder must hear.
 *
 * @param owner the driver's token, not 0
 * @param events MIGRATE when the driver rewrites its entries inside its migrations, EXCLUSIVE when it installs the entry itself
 */
export function ownRanges(
  owner: number,
  ...events: readonly Extract<MmuNotifyEvent, "MMU_NOTIFY_MIGRATE" | "MMU_NOTIFY_EXCLUSIVE">[]
): (range: MmuNotifierRange) => boolean {
  return (range) => owner !== 0 && range.owner === owner && events.some((event) => event === range.event);
}

import type { MmuNotification } from "../notification.js";

/**
 * True when the notification was asked for by `owner`. Only MIGRATE and EXCLUSIVE have a meaningful owner (elsewhere the kernel
 * leaves the field as it found it), and 0 is nobody.
 */
export function isOwnedBy(notification: MmuNotification, owner: number): boolean {
  const { event } = notification;
  return (
    owner !== 0 && notification.owner === owner && (event === "MMU_NOTIFY_MIGRATE" || event === "MMU_NOTIFY_EXCLUSIVE")
  );
}

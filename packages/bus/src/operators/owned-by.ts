import { filter, type MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { isOwnedBy } from "./owner.js";

/**
 * Passes MIGRATE and EXCLUSIVE that `owner` itself asked for. Owner 0 is nobody: passes nothing.
 *
 * ```
 * MIGRATE(owner 7)  MIGRATE(owner 8)  UNMAP
 *     ownedBy(7)
 * MIGRATE(owner 7)
 * ```
 *
 * @public
 */
export function ownedBy(owner: number): MonoTypeOperatorFunction<MmuNotification> {
  return filter((n) => isOwnedBy(n, owner));
}

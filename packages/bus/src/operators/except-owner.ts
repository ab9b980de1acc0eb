import { filter, type MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { isOwnedBy } from "./owner.js";

/**
 * Drops MIGRATE and EXCLUSIVE that `owner` itself asked for, as a driver must that moves pages to its own memory. Owner 0 is
 * nobody: drops nothing.
 *
 * ```
 * MIGRATE(owner 7)  MIGRATE(owner 8)  UNMAP
 *     exceptOwner(7)
 *                   MIGRATE(owner 8)  UNMAP
 * ```
 *
 * @public
 */
export function exceptOwner(owner: number): MonoTypeOperatorFunction<MmuNotification> {
  return filter((n) => !isOwnedBy(n, owner));
}

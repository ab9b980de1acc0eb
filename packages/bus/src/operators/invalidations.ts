import type { MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { phases } from "./phases.js";

/**
 * Passes the event-less hook when the kernel delivers it, whatever its name: invalidate_range up to v6.5,
 * arch_invalidate_secondary_tlbs after. For devices that share the CPU's page table.
 *
 * ```
 * start  invalidate-range  end  arch-invalidate-secondary-tlbs
 *     invalidations()
 *        invalidate-range       arch-invalidate-secondary-tlbs
 * ```
 *
 * @public
 */
export function invalidations(): MonoTypeOperatorFunction<MmuNotification> {
  return phases("invalidate-range", "arch-invalidate-secondary-tlbs");
}

import type { MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { phases } from "./phases.js";

/**
 * Passes start and end. For devices with a table of their own.
 *
 * ```
 * start  invalidate-range  end  change-pte  release
 *     ranges()
 * start                    end
 * ```
 *
 * @public
 */
export function ranges(): MonoTypeOperatorFunction<MmuNotification> {
  return phases("start", "end");
}

import type { MonoTypeOperatorFunction } from "rxjs";
import { NotificationStream } from "../notification-stream.js";

/**
 * Gives the subscriber a name that errors and warnings will show. Elsewhere than on a bus's stream it does nothing.
 *
 * ```
 * start  end
 *     named('acme-npu')
 * start  end
 * ```
 *
 * @public
 */
export function named<T>(name: string): MonoTypeOperatorFunction<T> {
  return (source) => (source instanceof NotificationStream ? (source as NotificationStream<T>).named(name) : source);
}

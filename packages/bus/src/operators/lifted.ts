import { Observable, type Subscriber, type Subscription } from "rxjs";
import { NotificationStream } from "../notification-stream.js";

/**
 * An operator of our own with state. On a bus's stream the result is again a bus's stream, so that what its subscriber throws is
 * still attributed.
 */
export function lifted<T, R>(
  source: Observable<T>,
  connect: (subscriber: Subscriber<R>) => Subscription,
): Observable<R> {
  if (!(source instanceof NotificationStream)) return new Observable(connect);
  return (source as NotificationStream<T>).lift<R>({ call: connect });
}

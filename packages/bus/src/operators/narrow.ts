import { filter, type MonoTypeOperatorFunction } from "rxjs";
import { type Interest, interestBit } from "../interest.js";
import type { MmuNotification } from "../notification.js";
import { NotificationStream } from "../notification-stream.js";

/** An operator that passes what `interest` names: for nothing on a direct stream, as an ordinary filter elsewhere. */
export function narrowTo(interest: Interest): MonoTypeOperatorFunction<MmuNotification> {
  return (source) =>
    source instanceof NotificationStream && source.isDirect
      ? (source as NotificationStream).narrow(interest)
      : source.pipe(filter((n) => (interestBit(n.phase, n.event) & interest) !== 0));
}

// The bus
export { type BusOptions, NotifierBus, type PreparedSubscription } from "./notifier-bus.js";
export type { BusRules } from "./rules.js";
export type { MmHandle } from "./mm-handle.js";
export { MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP } from "./lock-map.js";

// What is delivered
export { MMU_NOTIFY_EVENTS, type MmuNotifyEvent } from "./events.js";
export { isBlockable, MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifierRange, ULONG_MAX } from "./range.js";
export {
  type Interest,
  interestInEvents,
  interestInPhases,
  NOTIFICATION_PHASES,
  type NotificationPhase,
} from "./interest.js";
export type { MmuNotification, NotificationWork } from "./notification.js";

// Subscribers
export { type NamedObserver, NotificationStream } from "./notification-stream.js";
export type { NotifierOps } from "./notifier-ops.js";
export type { IntervalNotifierOps } from "./interval-delivery.js";

// Operators
export { type AlignedShape, alignedTo } from "./operators/aligned-to.js";
export { clippedTo } from "./operators/clipped-to.js";
export { coalesced, type CoalescedNotification } from "./operators/coalesced.js";
export { costMeter, type NotificationCost } from "./operators/cost-meter.js";
export { exceptEvents } from "./operators/except-events.js";
export { exceptOwner } from "./operators/except-owner.js";
export { invalidations } from "./operators/invalidations.js";
export { named } from "./operators/named.js";
export { onlyEvents } from "./operators/only-events.js";
export { ownedBy } from "./operators/owned-by.js";
export { type NotificationWindow, pairStartEnd } from "./operators/pair-start-end.js";
export { phases } from "./operators/phases.js";
export { ranges } from "./operators/ranges.js";
export { type NotificationRate, rateMeter } from "./operators/rate-meter.js";

// Running code of drivers
export { type Fault, type FaultBox, guardedWork } from "./guarded-work.js";

// Watching
export type { BusCall, BusWarning, BusWarningCode } from "./observers.js";

// Errors
export { EAGAIN, EINTR, EINVAL, ENOMEM, EOVERFLOW } from "./errno.js";
export { BusError, type BusErrorCode, SubscriberError } from "./errors.js";

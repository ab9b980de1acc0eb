// The bus
export { type BusOptions, NotifierBus, type PreparedSubscription } from "./notifier-bus.js";
export type { BusRules } from "./rules.js";
export type { MmHandle } from "./mm-handle.js";
export { MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP } from "./lock-map.js";

// What is delivered
export { MMU_NOTIFY_EVENTS, type MmuNotifyEvent } from "./events.js";
export { isBlockable, MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifierRange, ULONG_MAX } from "./range.js";
export { type Interest, NOTIFICATION_PHASES, type NotificationPhase } from "./interest.js";
export type { MmuNotification } from "./notification.js";

// Subscribers
export { type NamedObserver, NotificationStream } from "./notification-stream.js";
export type { NotifierOps } from "./notifier-ops.js";
export type { IntervalNotifierOps } from "./interval-notifiers.js";

// Operators
export { exceptEvents } from "./operators/except-events.js";
export { invalidations } from "./operators/invalidations.js";
export { onlyEvents } from "./operators/only-events.js";
export { phases } from "./operators/phases.js";
export { ranges } from "./operators/ranges.js";

// Watching
export type { BusCall, BusWarning, BusWarningCode } from "./observers.js";

// Errors
export { EAGAIN, EINTR, EINVAL, ENOMEM, EOVERFLOW } from "./errno.js";
export { BusError, type BusErrorCode, SubscriberError } from "./errors.js";

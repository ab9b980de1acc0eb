// Memory that can be saved and put back
export { Memory, type Segment } from "./memory.js";
export { Vectors } from "./vectors.js";

// Steps and paths
export { call, inline, NO_STEPS } from "./call.js";
export {
  choose,
  type ContextEffect,
  isMarker,
  mightSleep,
  nonBlockEnd,
  nonBlockStart,
  onlyWaits,
  type Path,
  preemptDisable,
  preemptEnable,
  spinUntil,
  step,
  Step,
  stepAt,
  waitFor,
} from "./step.js";
export { abandonRun, nextStep, nextStepAfterThrow } from "./straight-run.js";

// Locks and waiting
export {
  downgradeWrite,
  downRead,
  downReadTrylock,
  downWrite,
  holderOf,
  isHeld,
  type Lock,
  lockAt,
  type LockClass,
  lockClass,
  type LockKind,
  lockMapAcquire,
  lockMapRelease,
  mutexLock,
  mutexTrylock,
  mutexUnlock,
  spinLock,
  spinTrylock,
  spinUnlock,
  upRead,
  upWrite,
} from "./lock.js";
export { LockOrder } from "./lock-order.js";
export { Srcu } from "./srcu.js";
export { waitEvent, type WaitQueue, waitQueueAt, wakeUpAll } from "./wait-queue.js";

// Tasks
export { Scheduler, type StepObserver, type Task } from "./scheduler.js";
export { TaskContext } from "./task-context.js";

// Errors
export {
  ContextError,
  DeadlockError,
  type ErrorDetails,
  LockOrderError,
  MemoryError,
  MmuNotifierError,
} from "./errors.js";

// Names that were mistyped
export { didYouMean, nearMisses } from "./near-miss.js";

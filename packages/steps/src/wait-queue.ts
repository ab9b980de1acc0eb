import type { Segment } from "./memory.js";
import { type Path, step, waitFor } from "./step.js";

/** A wait queue: one word with a bit for each sleeping task (tasks 0 to 30). */
export interface WaitQueue {
  readonly name: string;
  readonly segment: Segment;
  readonly at: number;
}

/** A wait queue that lives in word `at` of `segment`. */
export function waitQueueAt(name: string, segment: Segment, at: number): WaitQueue {
  return { name, segment, at };
}

/**
 * wait_event(): sleeps until `condition` holds. A wake-up without the condition sleeps again; a condition that becomes true
 * without a wake-up is not noticed, so a lost wake-up shows as a deadlock.
 */
export function* waitEvent(queue: WaitQueue, condition: () => boolean): Path {
  for (;;) {
    const holds = yield step(`wait_event(${queue.name}): check`, (task) => {
      if (condition()) return 1;
      queue.segment.i32[queue.at]! |= 1 << task;
      return 0;
    });
    if (holds !== 0) return;
    yield waitFor(`wait_event(${queue.name}): schedule`, (task) => (queue.segment.i32[queue.at]! & (1 << task)) === 0);
  }
}

/** Wakes every sleeper of the queue; to be called inside a step. */
export function wakeUpAll(queue: WaitQueue): void {
  queue.segment.i32[queue.at] = 0;
}

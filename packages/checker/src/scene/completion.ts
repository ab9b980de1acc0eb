import { type Lock, lockAt, lockClass, type Memory, Step } from "@mmu-notifier/steps";

const HELD = 1;
const DONE = 2;
const STRIDE = 4;

/**
 * Something that one task will do and others wait for: memory that a reaper frees, work that a worker finishes, a grace period. Written as
 * a lock that its doer holds, as lockdep does it, so that who waits for whom is an edge of the wait-for graph.
 */
export class Completion {
  /** The task that will complete it takes it on. */
  readonly begin: Step;
  /** It is done; those who wait go on. */
  readonly complete: Step;
  /** Waits until it is done. To be followed by {@link waited}. */
  readonly wait: Step;
  /** The wait is over. */
  readonly waited: Step;
  readonly lock: Lock;

  constructor(memory: Memory, name: string) {
    const segment = memory.segment(name, STRIDE, 1);
    const at = segment.alloc() * STRIDE;
    const lock = lockAt(lockClass(name, "mutex"), segment, at + HELD);
    const acquire = { kind: "acquire", lock, subclass: 0, attempt: false } as const;
    const release = { kind: "release", lock } as const;
    this.lock = lock;
    this.begin = new Step(
      `${name}: taken on`,
      (task) => {
        segment.i32[at + HELD] = task + 1;
        return 0;
      },
      undefined,
      { ...acquire, mode: "write" },
    );
    this.complete = new Step(
      `${name}: done`,
      () => {
        segment.i32[at + HELD] = 0;
        segment.i32[at + DONE] = 1;
        return 0;
      },
      undefined,
      release,
    );
    this.wait = new Step(
      `wait_for_completion(${name})`,
      () => 0,
      () => segment.i32[at + DONE] !== 0,
      { ...acquire, mode: "read" },
    );
    this.waited = new Step(`${name}: waited for`, () => 0, undefined, release);
  }
}

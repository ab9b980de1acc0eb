import type { Segment } from "./memory.js";
import { Step } from "./step.js";

/** How a lock behaves: a spinlock never sleeps, the others do; a map is lockdep's stand-in for a context such as reclaim. */
export type LockKind = "spinlock" | "mutex" | "rwsem" | "map";

/** All locks that obey the same ordering rules, as lockdep's lock classes. */
export interface LockClass {
  readonly name: string;
  readonly kind: LockKind;
}

/** One lock: its class and the word of memory it lives in. The word is 0 when free, `task + 1` when held for writing, minus the number of readers when read. */
export interface Lock {
  readonly class: LockClass;
  readonly segment: Segment;
  /** Word index inside the segment. */
  readonly at: number;
  /** What messages call it, for instance `mmap_lock of mm1`. */
  readonly name: string;
}

const HELD_BY = 1;

/** Declares a lock class. */
export function lockClass(name: string, kind: LockKind): LockClass {
  return { name, kind };
}

/** A lock that lives in word `at` of `segment`. */
export function lockAt(lockClassOf: LockClass, segment: Segment, at: number, name = lockClassOf.name): Lock {
  return { class: lockClassOf, segment, at, name };
}

function write(lock: Lock, verb: string, subclass: number): Step {
  return new Step(
    `${verb}(${lock.name})`,
    (task) => {
      lock.segment.i32[lock.at] = task + HELD_BY;
      return 0;
    },
    () => lock.segment.i32[lock.at] === 0,
    { kind: "acquire", lock, mode: "write", subclass, attempt: false },
  );
}

function tryWrite(lock: Lock, verb: string): Step {
  return new Step(
    `${verb}(${lock.name})`,
    (task) => {
      if (lock.segment.i32[lock.at] !== 0) return 0;
      lock.segment.i32[lock.at] = task + HELD_BY;
      return 1;
    },
    undefined,
    { kind: "acquire", lock, mode: "write", subclass: 0, attempt: true },
  );
}

function releaseWrite(lock: Lock, verb: string): Step {
  return new Step(
    `${verb}(${lock.name})`,
    () => {
      lock.segment.i32[lock.at] = 0;
      return 0;
    },
    undefined,
    { kind: "release", lock },
  );
}

/** spin_lock(); `subclass` 1 is SINGLE_DEPTH_NESTING, for a second lock of the same class. */
export const spinLock = (lock: Lock, subclass = 0): Step => write(lock, "spin_lock", subclass);
/** spin_trylock(): returns 1 when taken. */
export const spinTrylock = (lock: Lock): Step => tryWrite(lock, "spin_trylock");
export const spinUnlock = (lock: Lock): Step => releaseWrite(lock, "spin_unlock");

/** mutex_lock(): may sleep. */
export const mutexLock = (lock: Lock, subclass = 0): Step => write(lock, "mutex_lock", subclass);
/** mutex_trylock(): returns 1 when taken. */
export const mutexTrylock = (lock: Lock): Step => tryWrite(lock, "mutex_trylock");
export const mutexUnlock = (lock: Lock): Step => releaseWrite(lock, "mutex_unlock");

/** down_write(): may sleep. */
export const downWrite = (lock: Lock, subclass = 0): Step => write(lock, "down_write", subclass);
export const upWrite = (lock: Lock): Step => releaseWrite(lock, "up_write");

/** down_read(): may sleep; several readers at a time. */
export function downRead(lock: Lock, subclass = 0): Step {
  return new Step(
    `down_read(${lock.name})`,
    () => {
      lock.segment.i32[lock.at]!--;
      return 0;
    },
    () => lock.segment.i32[lock.at]! <= 0,
    { kind: "acquire", lock, mode: "read", subclass, attempt: false },
  );
}

/** down_read_trylock(): returns 1 when taken. */
export function downReadTrylock(lock: Lock): Step {
  return new Step(
    `down_read_trylock(${lock.name})`,
    () => {
      if (lock.segment.i32[lock.at]! > 0) return 0;
      lock.segment.i32[lock.at]!--;
      return 1;
    },
    undefined,
    { kind: "acquire", lock, mode: "read", subclass: 0, attempt: true },
  );
}

export function upRead(lock: Lock): Step {
  return new Step(
    `up_read(${lock.name})`,
    () => {
      lock.segment.i32[lock.at]!++;
      return 0;
    },
    undefined,
    { kind: "release", lock },
  );
}

/** downgrade_write(): the writer becomes the only reader, without letting another writer in. */
export function downgradeWrite(lock: Lock): Step {
  return new Step(`downgrade_write(${lock.name})`, () => {
    lock.segment.i32[lock.at] = -1;
    return 0;
  });
}

/** lock_map_acquire(): tells the lock-order check that a context is entered; holds nothing. */
export function lockMapAcquire(map: LockClass): Step {
  return new Step(map.name, () => 0, undefined, {
    kind: "acquire",
    lock: mapLock(map),
    mode: "write",
    subclass: 0,
    attempt: false,
  });
}

/** lock_map_release(). */
export function lockMapRelease(map: LockClass): Step {
  return new Step(map.name, () => 0, undefined, { kind: "release", lock: mapLock(map) });
}

const maps = new WeakMap<LockClass, Lock>();

function mapLock(map: LockClass): Lock {
  let lock = maps.get(map);
  if (lock === undefined) {
    lock = { class: map, segment: NO_SEGMENT, at: 0, name: map.name };
    maps.set(map, lock);
  }
  return lock;
}

/** Maps hold no word; they share a segment-shaped constant so that {@link Lock} stays one shape. */
const NO_SEGMENT = { i32: new Int32Array(1) } as Pick<Segment, "i32"> as Segment;

/** The number of the task that holds `lock` for writing, or -1. */
export function holderOf(lock: Lock): number {
  return lock.segment.i32[lock.at]! - HELD_BY >= 0 ? lock.segment.i32[lock.at]! - HELD_BY : -1;
}

/** True when somebody holds `lock` in any mode. */
export function isHeld(lock: Lock): boolean {
  return lock.segment.i32[lock.at] !== 0;
}

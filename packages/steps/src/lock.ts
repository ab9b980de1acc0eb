import type { Segment } from "./memory.js";
import { Step } from "./step.js";

/** How a lock behaves: a spinlock never sleeps, the others do; a map is lockdep's stand-in for a context such as reclaim. */
export type LockKind = "spinlock" | "mutex" | "rwsem" | "map";

/** All locks that obey the same ordering rules, as lockdep's lock classes. */
export interface LockClass {
  readonly name: string;
  readonly kind: LockKind;
  /**
   * Its own number.
   *
   * @internal
   */
  readonly id: number;
}

/**
 * One lock: its class and the word of memory it lives in. The word is 0 when free, `task + 1` when held for writing, minus the
 * number of readers when read.
 */
export interface Lock {
  readonly class: LockClass;
  readonly segment: Segment;
  /** Word index inside the segment. */
  readonly at: number;
  /** What messages call it, for instance `mmap_lock of mm1`. */
  readonly name: string;
  /**
   * The steps on this lock that were made so far, by their verb and subclass: they are the same each time.
   *
   * @internal
   */
  readonly steps: (Step | undefined)[];
}

const HELD_BY = 1;

let classes = 0;

/** Declares a lock class. */
export function lockClass(name: string, kind: LockKind): LockClass {
  return { name, kind, id: classes++ };
}

/** A lock that lives in word `at` of `segment`. */
export function lockAt(lockClassOf: LockClass, segment: Segment, at: number, name = lockClassOf.name): Lock {
  return { class: lockClassOf, segment, at, name, steps: [] };
}

/** What is done to a lock, by the kernel's names; steps of a lock are kept under verb + {@link VERBS} times the subclass. */
const SPIN_LOCK = 0;
const SPIN_TRYLOCK = 1;
const SPIN_UNLOCK = 2;
const MUTEX_LOCK = 3;
const MUTEX_TRYLOCK = 4;
const MUTEX_UNLOCK = 5;
const DOWN_WRITE = 6;
const UP_WRITE = 7;
const DOWN_READ = 8;
const DOWN_READ_TRYLOCK = 9;
const UP_READ = 10;
const DOWNGRADE_WRITE = 11;
const MAP_ACQUIRE = 12;
const MAP_RELEASE = 13;
const VERBS = 14;

function kept(lock: Lock, verb: number, made: Step, subclass = 0): Step {
  lock.steps[verb + VERBS * subclass] = made;
  return made;
}

function write(lock: Lock, name: string, subclass: number): Step {
  return new Step(
    `${name}(${lock.name})`,
    (task) => {
      lock.segment.i32[lock.at] = task + HELD_BY;
      return 0;
    },
    () => lock.segment.i32[lock.at] === 0,
    { kind: "acquire", lock, mode: "write", subclass, attempt: false },
  );
}

function tryWrite(lock: Lock, name: string): Step {
  return new Step(
    `${name}(${lock.name})`,
    (task) => {
      if (lock.segment.i32[lock.at] !== 0) return 0;
      lock.segment.i32[lock.at] = task + HELD_BY;
      return 1;
    },
    undefined,
    { kind: "acquire", lock, mode: "write", subclass: 0, attempt: true },
  );
}

function releaseWrite(lock: Lock, name: string): Step {
  return new Step(
    `${name}(${lock.name})`,
    () => {
      lock.segment.i32[lock.at] = 0;
      return 0;
    },
    undefined,
    { kind: "release", lock },
  );
}

function read(lock: Lock, subclass: number): Step {
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

function tryRead(lock: Lock): Step {
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

function releaseRead(lock: Lock): Step {
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

function downgrade(lock: Lock): Step {
  return new Step(`downgrade_write(${lock.name})`, () => {
    lock.segment.i32[lock.at] = -1;
    return 0;
  });
}

function enterMap(lock: Lock): Step {
  return new Step(lock.name, () => 0, undefined, {
    kind: "acquire",
    lock,
    mode: "write",
    subclass: 0,
    attempt: false,
  });
}

function leaveMap(lock: Lock): Step {
  return new Step(lock.name, () => 0, undefined, { kind: "release", lock });
}

/** spin_lock(); `subclass` 1 is SINGLE_DEPTH_NESTING, for a second lock of the same class. */
export function spinLock(lock: Lock, subclass = 0): Step {
  return (
    lock.steps[SPIN_LOCK + VERBS * subclass] ?? kept(lock, SPIN_LOCK, write(lock, "spin_lock", subclass), subclass)
  );
}

/** spin_trylock(): returns 1 when taken. */
export function spinTrylock(lock: Lock): Step {
  return lock.steps[SPIN_TRYLOCK] ?? kept(lock, SPIN_TRYLOCK, tryWrite(lock, "spin_trylock"));
}

export function spinUnlock(lock: Lock): Step {
  return lock.steps[SPIN_UNLOCK] ?? kept(lock, SPIN_UNLOCK, releaseWrite(lock, "spin_unlock"));
}

/** mutex_lock(): may sleep. */
export function mutexLock(lock: Lock, subclass = 0): Step {
  return (
    lock.steps[MUTEX_LOCK + VERBS * subclass] ?? kept(lock, MUTEX_LOCK, write(lock, "mutex_lock", subclass), subclass)
  );
}

/** mutex_trylock(): returns 1 when taken. */
export function mutexTrylock(lock: Lock): Step {
  return lock.steps[MUTEX_TRYLOCK] ?? kept(lock, MUTEX_TRYLOCK, tryWrite(lock, "mutex_trylock"));
}

export function mutexUnlock(lock: Lock): Step {
  return lock.steps[MUTEX_UNLOCK] ?? kept(lock, MUTEX_UNLOCK, releaseWrite(lock, "mutex_unlock"));
}

/** down_write(): may sleep. */
export function downWrite(lock: Lock, subclass = 0): Step {
  return (
    lock.steps[DOWN_WRITE + VERBS * subclass] ?? kept(lock, DOWN_WRITE, write(lock, "down_write", subclass), subclass)
  );
}

export function upWrite(lock: Lock): Step {
  return lock.steps[UP_WRITE] ?? kept(lock, UP_WRITE, releaseWrite(lock, "up_write"));
}

/** down_read(): may sleep; several readers at a time. */
export function downRead(lock: Lock, subclass = 0): Step {
  return lock.steps[DOWN_READ + VERBS * subclass] ?? kept(lock, DOWN_READ, read(lock, subclass), subclass);
}

/** down_read_trylock(): returns 1 when taken. */
export function downReadTrylock(lock: Lock): Step {
  return lock.steps[DOWN_READ_TRYLOCK] ?? kept(lock, DOWN_READ_TRYLOCK, tryRead(lock));
}

export function upRead(lock: Lock): Step {
  return lock.steps[UP_READ] ?? kept(lock, UP_READ, releaseRead(lock));
}

/** downgrade_write(): the writer becomes the only reader, without letting another writer in. */
export function downgradeWrite(lock: Lock): Step {
  return lock.steps[DOWNGRADE_WRITE] ?? kept(lock, DOWNGRADE_WRITE, downgrade(lock));
}

/** lock_map_acquire(): tells the lock-order check that a context is entered; holds nothing. */
export function lockMapAcquire(map: LockClass): Step {
  const lock = mapLock(map);
  return lock.steps[MAP_ACQUIRE] ?? kept(lock, MAP_ACQUIRE, enterMap(lock));
}

/** lock_map_release(). */
export function lockMapRelease(map: LockClass): Step {
  const lock = mapLock(map);
  return lock.steps[MAP_RELEASE] ?? kept(lock, MAP_RELEASE, leaveMap(lock));
}

const maps = new WeakMap<LockClass, Lock>();

function mapLock(map: LockClass): Lock {
  let lock = maps.get(map);
  if (lock === undefined) {
    lock = { class: map, segment: NO_SEGMENT, at: 0, name: map.name, steps: [] };
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

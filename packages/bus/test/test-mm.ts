import {
  type Lock,
  lockAt,
  lockClass,
  type LockKind,
  Memory,
  type Path,
  type Segment,
  step,
} from "@mmu-notifier/steps";
import { type BusOptions, type BusRules, EINTR, type MmHandle, NotifierBus } from "@mmu-notifier/bus";

/** Up to v6.5, with the seed's event. */
export const V6_4: BusRules = {
  hook: "invalidate_range",
  hookFromRangeEnd: true,
  rejectsMixedOps: false,
  hasChangePte: true,
  hasUpgradeEvent: true,
};

/** From v6.6 on. */
export const V6_12: BusRules = {
  hook: "arch_invalidate_secondary_tlbs",
  hookFromRangeEnd: false,
  rejectsMixedOps: true,
  hasChangePte: false,
  hasUpgradeEvent: false,
};

const MMAP_LOCK = lockClass("mmap_lock", "rwsem");
const USERS = 1;
const COUNT = 2;
const LOCK = 3;
const ALL_LOCKS = 4;
const SIGNAL = 5;
const WORDS = 6;

/** A mm with nothing but what the bus asks for. */
export class TestMm implements MmHandle {
  readonly id: number;
  readonly mmapLock: Lock;
  readonly #segment: Segment;
  readonly #bus: () => NotifierBus;

  constructor(segment: Segment, bus: () => NotifierBus) {
    this.#segment = segment;
    this.#bus = bus;
    this.id = segment.alloc();
    this.mmapLock = lockAt(MMAP_LOCK, segment, this.id * WORDS + LOCK, `mmap_lock of mm${this.id}`);
    this.#word(USERS, 1);
    this.#word(COUNT, 1);
  }

  #word(at: number, by = 0): number {
    const { i32 } = this.#segment;
    return (i32[this.id * WORDS + at] = i32[this.id * WORDS + at]! + by);
  }

  users(): number {
    return this.#word(USERS);
  }

  /** mmput() without exit_mmap. */
  putUser(): void {
    this.#word(USERS, -1);
  }

  count(): number {
    return this.#word(COUNT);
  }

  grab(): void {
    this.#word(COUNT, 1);
  }

  drop(): void {
    if (this.#word(COUNT, -1) === 0) this.#bus().forget(this.id);
  }

  /** The next mm_take_all_locks() sees a signal. */
  signal(): void {
    this.#word(SIGNAL, 1);
  }

  get allLocksHeld(): boolean {
    return this.#word(ALL_LOCKS) !== 0;
  }

  *takeAllLocks(): Path<number> {
    return yield step("mm_take_all_locks", () => {
      if (this.#word(SIGNAL) !== 0) return -EINTR;
      this.#word(ALL_LOCKS, 1);
      return 0;
    });
  }

  *dropAllLocks(): Path {
    yield step("mm_drop_all_locks", () => {
      this.#word(ALL_LOCKS, -1);
      return 0;
    });
  }
}

/** A bus with `mms` address spaces. */
export function machine(
  rules: BusRules = V6_4,
  options: BusOptions & { readonly mms?: number } = {},
): { memory: Memory; bus: NotifierBus; mm: TestMm; mms: TestMm[] } {
  const memory = new Memory();
  const segment = memory.segment("test mms", WORDS);
  const bus: NotifierBus = new NotifierBus(memory, rules, options);
  const mms = Array.from({ length: options.mms ?? 1 }, () => new TestMm(segment, () => bus));
  for (const mm of mms) bus.attach(mm);
  return { memory, bus, mm: mms[0]!, mms };
}

/** A lock of its own class, free. */
export function testLock(memory: Memory, name: string, kind: LockKind): Lock {
  const segment = memory.segment(name, 4, 1);
  return lockAt(lockClass(name, kind), segment, segment.alloc() * 4 + 1);
}

import {
  downWrite,
  lockMapAcquire,
  lockMapRelease,
  type Memory,
  mutexLock,
  mutexTrylock,
  mutexUnlock,
  type Path,
  Scheduler,
  step,
  upWrite,
} from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  type BusRules,
  EAGAIN,
  EINTR,
  EINVAL,
  EOVERFLOW,
  type IntervalNotifierOps,
  MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP,
  type MmuNotifierRange,
  type NotifierBus,
  phases,
  ULONG_MAX,
} from "@mmu-notifier/bus";
import { explore, interleave } from "./interleave.js";
import { machine, type TestMm, testLock, V6_4 } from "./test-mm.js";

const PAGE = 4096;
const unmap = (mm: number, first = 1, pages = 2): MmuNotifierRange => ({
  mm,
  start: first * PAGE,
  end: (first + pages) * PAGE,
  event: "MMU_NOTIFY_UNMAP",
});

/** Sequence and number of open invalidations of the only mm of a machine. */
function head(memory: Memory): { readonly seq: number; readonly active: number; readonly deferred: number } {
  const { i32, stride } = memory.segments.find(({ name }) => name === "mmu_notifier_subscriptions")!;
  return { seq: i32[stride + 3]!, active: i32[stride + 4]!, deferred: i32[stride + 6]! };
}

function seqOf(memory: Memory, interval: number): number {
  const { i32, stride } = memory.segments.find(({ name }) => name === "mmu_interval_notifier")!;
  return i32[interval * stride + 8]!;
}

/** Ops whose invalidate sets the sequence and says yes. */
function obedient(bus: () => NotifierBus, log: string[] = [], name = "i"): IntervalNotifierOps {
  return {
    name,
    *invalidate(interval, range, curSeq) {
      yield* bus().intervalSetSeq(interval, curSeq);
      yield step("log", () => log.push(`${name}${interval} ${range.event}`));
      return true;
    },
  };
}

interface Setting {
  readonly bus: NotifierBus;
  readonly memory: Memory;
  readonly mm: TestMm;
  readonly log: string[];
  readonly scheduler: Scheduler;
  readonly ops: number;
}

function setting(rules: BusRules = V6_4): Setting {
  const { bus, mm, memory } = machine(rules);
  const log: string[] = [];
  return { bus, mm, memory, log, scheduler: new Scheduler(), ops: bus.defineIntervalOps(obedient(() => bus, log)) };
}

function insertedAt({ bus, mm, scheduler, ops }: Setting, firstPage: number, pages: number): number {
  const interval = bus.allocInterval(ops);
  expect(scheduler.run(bus.intervalInsert(interval, mm.id, firstPage * PAGE, pages * PAGE))).toBe(0);
  return interval;
}

describe("mmu_interval_notifier_insert", () => {
  it("registers nothing but makes the mm ready: mm_has_notifiers", () => {
    const s = setting();

    insertedAt(s, 1, 2);

    expect(s.bus.hasNotifiers(s.mm.id)).toBe(true);
    expect(s.mm.count()).toBe(2);
  });

  it("returns -EOVERFLOW for length 0 and for a range that wraps", () => {
    const { bus, mm, scheduler, ops } = setting();
    const interval = bus.allocInterval(ops);

    expect(scheduler.run(bus.intervalInsert(interval, mm.id, PAGE, 0))).toBe(-EOVERFLOW);
    expect(scheduler.run(bus.intervalInsert(interval, mm.id, PAGE, ULONG_MAX))).toBe(-EOVERFLOW);
    expect(scheduler.run(bus.intervalInsert(interval, mm.id, 0, ULONG_MAX))).toBe(0);
  });

  it("returns -EINVAL with a WARN when mm_users is 0", () => {
    const s = setting();
    const codes: string[] = [];
    s.bus.warnings.subscribe(({ code }) => codes.push(code));
    insertedAt(s, 1, 1);
    s.mm.putUser();

    expect(s.scheduler.run(s.bus.intervalInsert(s.bus.allocInterval(s.ops), s.mm.id, PAGE, PAGE))).toBe(-EINVAL);

    expect(codes).toEqual(["WARN_INTERVAL_DEAD_MM"]);
    expect(s.mm.count()).toBe(2);
  });

  it("returns the error of registration", () => {
    const { bus, mm, scheduler, ops } = setting();
    mm.signal();

    expect(scheduler.run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE))).toBe(-EINTR);
  });

  it("might_lock(mmap_lock): the caller must not hold it", () => {
    const { bus, mm, scheduler, ops } = setting();
    function* locked(): Path {
      yield downWrite(mm.mmapLock);
      yield* bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE);
    }

    expect(() => scheduler.run(locked())).toThrow(/mmap_lock/);
  });

  it("insert_locked wants mmap_lock held for writing", () => {
    const { bus, mm, scheduler, ops } = setting();
    const interval = bus.allocInterval(ops);
    function* locked(): Path<number> {
      yield downWrite(mm.mmapLock);
      const error = yield* bus.intervalInsertLocked(interval, mm.id, PAGE, PAGE);
      yield upWrite(mm.mmapLock);
      return error;
    }

    expect(() => scheduler.run(bus.intervalInsertLocked(interval, mm.id, PAGE, PAGE))).toThrow(/not held/);
    expect(scheduler.run(locked())).toBe(0);
    expect([bus.intervalStart(interval), bus.intervalEnd(interval)]).toEqual([PAGE, 2 * PAGE]);
  });
});

describe("invalidation of intervals", () => {
  it("calls those that intersect [start, end), ordered by start, ties in order of insertion", () => {
    const s = setting();
    const far = insertedAt(s, 9, 1);
    const second = insertedAt(s, 2, 4);
    const first = insertedAt(s, 1, 1);
    const tie = insertedAt(s, 2, 1);
    insertedAt(s, 0, 1);

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id, 1, 2)));

    expect(s.log).toEqual([first, second, tie].map((i) => `i${i} MMU_NOTIFY_UNMAP`));
    expect(far).toBe(1);
  });

  it("the end of a range is exclusive and the last byte of an interval is inside", () => {
    const s = setting();
    insertedAt(s, 1, 1);

    s.scheduler.run(s.bus.invalidateRangeStart({ ...unmap(s.mm.id), start: 0, end: PAGE }));
    expect(s.log).toEqual([]);
    s.scheduler.run(s.bus.invalidateRangeStart({ ...unmap(s.mm.id), start: 2 * PAGE - 1, end: 2 * PAGE }));

    expect(s.log).toHaveLength(1);
  });

  it("comes before the list in start", () => {
    const s = setting();
    insertedAt(s, 1, 1);
    s.bus.notifications(s.mm.id).subscribe((n) => s.log.push(`list ${n.phase}`));

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    expect(s.log).toEqual(["i1 MMU_NOTIFY_UNMAP", "list start"]);
  });

  it("inv_end releases readers before the list's end callbacks", () => {
    const s = setting();
    insertedAt(s, 1, 1);
    const seen: number[] = [];
    s.bus
      .notifications(s.mm.id)
      .pipe(phases("start", "end"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield step("look", () => seen.push(head(s.memory).seq));
        }),
      );

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id)));

    expect(seen).toEqual([3, 4]);
  });

  it("false while blockable warns and goes on as if true", () => {
    const { bus, mm, scheduler } = setting();
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    const asked: number[] = [];
    const ops = bus.defineIntervalOps({
      name: "refuser",
      *invalidate(interval) {
        yield step("asked", () => asked.push(interval));
        return false;
      },
    });
    for (let i = 0; i < 2; i++) scheduler.run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE));

    expect(scheduler.run(bus.invalidateRangeStart(unmap(mm.id)))).toBe(0);

    expect(asked).toEqual([1, 2]);
    expect(codes).toEqual(["WARN_INTERVAL_REFUSED_BLOCKABLE", "WARN_INTERVAL_REFUSED_BLOCKABLE"]);
  });

  it("false while non-blockable undoes the start and returns -EAGAIN without asking the list", () => {
    const { bus, mm, memory, scheduler } = setting();
    const log: string[] = [];
    const ops = bus.defineIntervalOps({
      name: "refuser",
      *invalidate() {
        yield step("asked", () => log.push("asked"));
        return false;
      },
    });
    scheduler.run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE));
    bus.notifications(mm.id).subscribe(() => log.push("list"));

    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);

    expect(log).toEqual(["asked"]);
    expect(head(memory)).toEqual({ seq: 4, active: 0, deferred: 0 });
  });

  it("interval callbacks are not in a non-blockable section: sleeping goes unnoticed", () => {
    const { bus, mm, memory, scheduler } = setting();
    const lock = testLock(memory, "user lock", "mutex");
    const ops = bus.defineIntervalOps({
      name: "amdkfd",
      *invalidate(interval, _range, curSeq) {
        yield mutexLock(lock);
        yield* bus.intervalSetSeq(interval, curSeq);
        yield mutexUnlock(lock);
        return true;
      },
    });
    scheduler.run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE));

    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(0);
  });

  it("what an interval throws is attributed, and the others are called", () => {
    const s = setting();
    const bad = s.bus.defineIntervalOps({
      name: "bad",
      *invalidate(): Path<boolean> {
        throw new Error("no");
      },
    });
    s.scheduler.run(s.bus.intervalInsert(s.bus.allocInterval(bad), s.mm.id, PAGE, PAGE));
    insertedAt(s, 1, 1);
    const faults: string[] = [];
    const watching = s.bus.faults.subscribe((fault) => faults.push(fault.message));

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    expect(faults[0]).toMatch(/subscriber bad threw in invalidate of MMU_NOTIFY_UNMAP for mm 1 \[0x1000, 0x3000\): no/);
    expect(s.log).toEqual(["i2 MMU_NOTIFY_UNMAP"]);
    watching.unsubscribe();

    expect(() => s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)))).toThrow(/subscriber bad/);
  });

  it("exit calls everybody with RELEASE first, and with UNMAP again if not removed by then", () => {
    const s = setting();
    insertedAt(s, 1, 1);

    s.scheduler.run(s.bus.release(s.mm.id));
    s.scheduler.run(s.bus.invalidateRangeStart({ ...unmap(s.mm.id), start: 0, end: ULONG_MAX }));

    expect(s.log).toEqual(["i1 MMU_NOTIFY_RELEASE", "i1 MMU_NOTIFY_UNMAP"]);
  });

  it("false for RELEASE warns", () => {
    const { bus, mm, scheduler } = setting();
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    const ops = bus.defineIntervalOps({
      name: "refuser",
      *invalidate() {
        yield step("asked", () => 0);
        return false;
      },
    });
    scheduler.run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE));

    scheduler.run(bus.release(mm.id));

    expect(codes).toEqual(["WARN_INTERVAL_REFUSED_RELEASE"]);
  });
});

describe("the sequence", () => {
  it("is 2 and even in a new mm; an interval inserted while idle has the odd number before", () => {
    const s = setting();

    const interval = insertedAt(s, 1, 1);

    expect(head(s.memory)).toEqual({ seq: 2, active: 0, deferred: 0 });
    expect(seqOf(s.memory, interval)).toBe(1);
  });

  it("stays even while a write is held that hit nothing", () => {
    const s = setting();
    insertedAt(s, 5, 1);

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    expect(head(s.memory)).toEqual({ seq: 2, active: 1, deferred: 0 });
    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id)));

    expect(head(s.memory)).toEqual({ seq: 2, active: 0, deferred: 0 });
  });

  it("turns odd with a hit, is shared by concurrent starts, and turns even when the last ends", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);
    const seqs: number[] = [];
    const look = (): number => seqs.push(head(s.memory).seq, seqOf(s.memory, interval));

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    look();
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    look();
    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id)));
    look();
    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id)));
    look();

    expect(seqs).toEqual([3, 3, 3, 3, 3, 3, 4, 3]);
  });

  it("insert while odd is deferred and counts as invalidating", () => {
    const s = setting();
    insertedAt(s, 1, 1);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    const late = insertedAt(s, 1, 1);
    expect(seqOf(s.memory, late)).toBe(3);
    expect(head(s.memory).deferred).toBe(late);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    expect(s.log).toEqual(["i1 MMU_NOTIFY_UNMAP", "i1 MMU_NOTIFY_UNMAP"]);
    for (let i = 0; i < 2; i++) s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id)));
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    expect(s.log.slice(2)).toEqual(["i1 MMU_NOTIFY_UNMAP", `i${late} MMU_NOTIFY_UNMAP`]);
  });

  it("insert while active but even makes it odd and collides until all windows end", () => {
    const s = setting();
    insertedAt(s, 9, 1);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    const interval = insertedAt(s, 20, 1);

    expect(head(s.memory)).toEqual({ seq: 3, active: 1, deferred: 0 });
    expect(seqOf(s.memory, interval)).toBe(3);
    expect(() => s.scheduler.run(s.bus.intervalReadBegin(interval))).toThrow(/deadlock/);
  });

  it("wraps inside the bits it is given", () => {
    const { bus, mm, memory } = machine(V6_4, { invalidateSeqBits: 3 });
    const scheduler = new Scheduler();
    const ops = bus.defineIntervalOps(obedient(() => bus));
    const interval = bus.allocInterval(ops);
    scheduler.run(bus.intervalInsert(interval, mm.id, PAGE, PAGE));

    for (let i = 0; i < 3; i++) {
      scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
      scheduler.run(bus.invalidateRangeEnd(unmap(mm.id)));
    }
    expect(head(memory).seq).toBe(0);
    const late = bus.allocInterval(ops);
    scheduler.run(bus.intervalInsert(late, mm.id, PAGE, PAGE));

    expect(seqOf(memory, late)).toBe(7);
  });

  it("warns when an insertion finds the mm idle but odd", () => {
    const s = setting();
    const codes: string[] = [];
    s.bus.warnings.subscribe(({ code }) => codes.push(code));
    insertedAt(s, 1, 1);
    const { i32, stride } = s.memory.segments.find(({ name }) => name === "mmu_notifier_subscriptions")!;
    i32[stride + 3] = 3;

    insertedAt(s, 1, 1);

    expect(codes).toEqual(["WARN_INTERVAL_IDLE_BUT_ODD"]);
  });
});

describe("read_begin, read_retry, check_retry", () => {
  it("read_retry is false when nothing came in between and true after an invalidation", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);

    const seq = s.scheduler.run(s.bus.intervalReadBegin(interval));
    expect(s.scheduler.run(s.bus.intervalReadRetry(interval, seq))).toBe(0);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    expect(s.scheduler.run(s.bus.intervalReadRetry(interval, seq))).toBe(1);
    expect(s.scheduler.run(s.bus.intervalCheckRetry(interval, seq))).toBe(1);
  });

  it("an invalidation of another interval is no retry, but read_begin waits only for its own", () => {
    const s = setting();
    const mine = insertedAt(s, 1, 1);
    insertedAt(s, 8, 1);

    const seq = s.scheduler.run(s.bus.intervalReadBegin(mine));
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id, 8, 1)));

    expect(s.scheduler.run(s.bus.intervalReadBegin(mine))).toBe(seq);
    expect(s.scheduler.run(s.bus.intervalReadRetry(mine, seq))).toBe(0);
  });

  it("read_begin sleeps until the invalidation of its interval has ended", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    const order: string[] = [];
    function* read(): Path {
      yield* s.bus.intervalReadBegin(interval);
      yield step("begun", () => order.push("begun"));
    }
    function* end(): Path {
      yield step("ending", () => order.push("ending"));
      yield* s.bus.invalidateRangeEnd(unmap(s.mm.id));
    }

    const { stuck } = interleave(
      [
        { name: "reader", run: read },
        { name: "mm", run: end },
      ],
      () => 0,
    );

    expect(stuck).toEqual([]);
    expect(order).toEqual(["ending", "begun"]);
  });

  it("overlapping invalidations elsewhere starve a reader: the sequence is even only when none is open", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);
    const begin = (): number => s.scheduler.run(s.bus.intervalReadBegin(interval));
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id, 1, 1)));

    for (let page = 100; page < 110; page++) {
      s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id, page, 1)));
      s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id, page === 100 ? 1 : page - 1, 1)));
      expect(begin).toThrow(/deadlock/);
    }

    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id, 109, 1)));
    expect(s.scheduler.run(s.bus.intervalReadRetry(interval, begin()))).toBe(0);
  });

  it("a hint from check_retry that is 0 may be stale, one that is 1 may not", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);

    const seq = s.scheduler.run(s.bus.intervalReadBegin(interval));

    expect(s.scheduler.run(s.bus.intervalCheckRetry(interval, seq))).toBe(0);
    expect(s.scheduler.run(s.bus.intervalCheckRetry(interval, seq - 2))).toBe(1);
  });

  it("read_retry and set_seq want the lock that invalidate takes", () => {
    const { bus, mm, memory, scheduler } = setting();
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    const lock = testLock(memory, "user lock", "mutex");
    const ops = bus.defineIntervalOps({ ...obedient(() => bus), userLock: () => lock });
    const interval = bus.allocInterval(ops);
    scheduler.run(bus.intervalInsert(interval, mm.id, PAGE, PAGE));
    const seq = scheduler.run(bus.intervalReadBegin(interval));
    function* locked(): Path<number> {
      yield mutexLock(lock);
      const retry = yield* bus.intervalReadRetry(interval, seq);
      yield mutexUnlock(lock);
      return retry;
    }

    scheduler.run(locked());
    expect(codes).toEqual([]);
    scheduler.run(bus.intervalReadRetry(interval, seq));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(codes).toEqual(["WARN_READ_RETRY_UNLOCKED", "WARN_READ_RETRY_UNLOCKED"]);
  });

  it("touches the lock map: no lock of the callbacks may be held", () => {
    const { bus, mm, memory, scheduler } = setting();
    const lock = testLock(memory, "user lock", "mutex");
    const ops = bus.defineIntervalOps({
      name: "driver",
      *invalidate(interval, _range, curSeq) {
        yield mutexLock(lock);
        yield* bus.intervalSetSeq(interval, curSeq);
        yield mutexUnlock(lock);
        return true;
      },
    });
    const interval = bus.allocInterval(ops);
    scheduler.run(bus.intervalInsert(interval, mm.id, PAGE, PAGE));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
    scheduler.run(bus.invalidateRangeEnd(unmap(mm.id)));
    function* under(path: Path<unknown>): Path {
      yield mutexLock(lock);
      yield* path;
      yield mutexUnlock(lock);
    }

    expect(() => scheduler.run(under(bus.intervalReadBegin(interval)))).toThrow(/mmu_notifier_invalidate_range_start/);
    lock.segment.i32[lock.at] = 0;
    expect(() => scheduler.run(under(bus.intervalRemove(interval)))).toThrow(/mmu_notifier_invalidate_range_start/);
  });

  it("a driver lock of the callbacks must not be held across an allocation that may reclaim", () => {
    const { bus, mm, memory, scheduler } = setting();
    const lock = testLock(memory, "driver lock", "mutex");
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield mutexLock(lock);
          yield mutexUnlock(lock);
        }),
      );
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
    function* allocate(): Path {
      yield mutexLock(lock);
      yield lockMapAcquire(MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP);
      yield lockMapRelease(MMU_NOTIFIER_INVALIDATE_RANGE_START_MAP);
      yield mutexUnlock(lock);
    }

    expect(() => scheduler.run(allocate())).toThrow(/driver lock/);
  });

  it("end touches the lock map too", () => {
    const { bus, mm, memory, scheduler } = setting();
    const lock = testLock(memory, "driver lock", "mutex");
    bus
      .notifications(mm.id)
      .pipe(phases("end"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield mutexLock(lock);
          yield mutexUnlock(lock);
        }),
      );
    scheduler.run(bus.invalidateRangeEnd(unmap(mm.id)));
    function* under(): Path {
      yield mutexLock(lock);
      yield* bus.invalidateRangeEnd(unmap(mm.id));
    }

    expect(() => scheduler.run(under())).toThrow(/driver lock/);
  });
});

describe("mmu_interval_notifier_remove", () => {
  it("while even removes at once and drops the mm", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);

    s.scheduler.run(s.bus.intervalRemove(interval));
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    expect(s.log).toEqual([]);
    expect(s.mm.count()).toBe(1);
    s.bus.freeInterval(interval);
  });

  it("while odd, of a deferred insertion, un-queues it and does not wait", () => {
    const s = setting();
    insertedAt(s, 1, 1);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));
    const late = insertedAt(s, 1, 1);

    s.scheduler.run(s.bus.intervalRemove(late));

    expect(head(s.memory).deferred).toBe(0);
  });

  it("while odd, of an inserted one, is deferred and waits until the sequence moved", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    const { stuck } = interleave([{ name: "driver", run: () => s.bus.intervalRemove(interval) }], () => 0);
    expect(stuck).toEqual(["driver: wait_event(mmu_notifier_subscriptions->wq): schedule"]);
    expect(() => s.bus.freeInterval(interval)).toThrow(/while it is inserted/);
    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id)));
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id)));

    expect(s.log).toHaveLength(1);
  });

  it("warns when the interval is neither in the tree nor deferred", () => {
    const s = setting();
    const codes: string[] = [];
    s.bus.warnings.subscribe(({ code }) => codes.push(code));
    const interval = insertedAt(s, 1, 1);
    s.scheduler.run(s.bus.intervalRemove(interval));

    s.scheduler.run(s.bus.intervalRemove(interval));

    expect(codes).toEqual(["WARN_INTERVAL_NOT_INSERTED"]);
  });

  it("removes and defers from the middle of the lists", () => {
    const s = setting();
    const rows = [1, 2, 3].map((page) => insertedAt(s, page, 1));
    s.scheduler.run(s.bus.intervalRemove(rows[1]!));
    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id, 1, 1)));
    const late = [5, 6, 7].map((page) => insertedAt(s, page, 1));
    s.scheduler.run(s.bus.intervalRemove(late[1]!));
    s.scheduler.run(s.bus.invalidateRangeEnd(unmap(s.mm.id, 1, 1)));
    s.log.length = 0;

    s.scheduler.run(s.bus.invalidateRangeStart(unmap(s.mm.id, 0, 9)));

    expect(s.log).toEqual([rows[0], rows[2], late[0], late[2]].map((row) => `i${row} MMU_NOTIFY_UNMAP`));
  });

  it("an interval that was freed is not used again", () => {
    const s = setting();
    const interval = insertedAt(s, 1, 1);
    s.scheduler.run(s.bus.intervalRemove(interval));
    s.bus.freeInterval(interval);

    expect(() => s.scheduler.run(s.bus.intervalReadBegin(interval))).toThrow(/not allocated/);
  });
});

describe("the -EAGAIN hole", () => {
  function scenario(undoIntervalsOnEagain: boolean) {
    const { bus, mm, memory } = machine({ ...V6_4, undoIntervalsOnEagain });
    const scheduler = new Scheduler();
    const ops = bus.defineIntervalOps(obedient(() => bus));
    const interval = bus.allocInterval(ops);
    scheduler.run(bus.intervalInsert(interval, mm.id, PAGE, PAGE));
    bus
      .notifications(mm.id)
      .named("nouveau")
      .pipe(phases("start"))
      .subscribe((n) => {
        if (!n.blockable) n.refuse();
      });
    return { bus, mm, memory, scheduler, interval };
  }

  it("leaves the count raised and the sequence odd, so that readers and removals wait for ever", () => {
    const { bus, mm, memory, scheduler, interval } = scenario(false);

    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);

    expect(head(memory)).toEqual({ seq: 3, active: 1, deferred: 0 });
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
    scheduler.run(bus.invalidateRangeEnd(unmap(mm.id)));
    expect(() => scheduler.run(bus.intervalReadBegin(interval))).toThrow(/deadlock/);
    expect(() => scheduler.run(bus.intervalRemove(interval))).toThrow(/deadlock/);
  });

  it("is found in fewer than 10 steps by exploring", () => {
    let depth = 0;
    const { found } = explore(
      () => {
        const s = scenario(false);
        return {
          memory: s.memory,
          scenario: s,
          threads: [
            { name: "oom_reaper", run: () => s.bus.invalidateRangeStartNonblock(unmap(s.mm.id)) },
            { name: "driver", run: () => s.bus.intervalReadBegin(s.interval) },
          ],
        };
      },
      (state) => {
        depth = state.depth;
        return state.run.runnable.length === 0 && !state.run.finished;
      },
    );

    expect(found).toMatchInlineSnapshot(`
      [
        "oom_reaper: mmu_notifier_invalidate_range_start",
        "oom_reaper: mmu_interval_set_seq",
        "oom_reaper: log",
        "oom_reaper: mn_hlist_invalidate_range_start",
        "oom_reaper: hlist: next",
        "oom_reaper: hlist: first, to end what was started",
        "oom_reaper: srcu_read_unlock(mmu_notifier)",
        "driver: mmu_interval_read_begin",
        "driver: wait_event(mmu_notifier_subscriptions->wq): check",
      ]
    `);
    expect(depth).toBeLessThan(10);
  });

  it("undoIntervalsOnEagain closes it", () => {
    const { bus, mm, memory, scheduler, interval } = scenario(true);

    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);

    expect(head(memory)).toEqual({ seq: 4, active: 0, deferred: 0 });
    scheduler.run(bus.intervalRemove(interval));
  });
});

describe("locks of the interval callback", () => {
  it("a non-blockable invalidate that cannot get the lock refuses and may be repeated", () => {
    const { bus, mm, memory, scheduler } = setting();
    const lock = testLock(memory, "user lock", "mutex");
    const ops = bus.defineIntervalOps({
      name: "driver",
      *invalidate(interval, range, curSeq) {
        if (range.flags === 0) {
          if ((yield mutexTrylock(lock)) === 0) return false;
        } else yield mutexLock(lock);
        yield* bus.intervalSetSeq(interval, curSeq);
        yield mutexUnlock(lock);
        return true;
      },
    });
    scheduler.run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE));

    lock.segment.i32[lock.at] = 7;
    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);
    lock.segment.i32[lock.at] = 0;
    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(0);
  });
});

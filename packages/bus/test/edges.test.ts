import {
  downWrite,
  mutexLock,
  mutexUnlock,
  type Path,
  Scheduler,
  spinLock,
  spinUnlock,
  step,
  upWrite,
  waitFor,
} from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  BusError,
  EAGAIN,
  EINTR,
  interestInEvents,
  interestInPhases,
  type MmuNotification,
  type MmuNotifierRange,
  type NotificationPhase,
  type NotificationWork,
  type NotifierBus,
  phases,
  SubscriberError,
} from "@mmu-notifier/bus";
import { machine, type TestMm, testLock, V6_4 } from "./test-mm.js";

const PAGE = 4096;
const unmap = (mm: number): MmuNotifierRange => ({ mm, start: PAGE, end: 3 * PAGE, event: "MMU_NOTIFY_UNMAP" });

function* under(lock: Parameters<typeof spinLock>[0], path: Path<unknown>): Path {
  yield spinLock(lock);
  yield* path;
  yield spinUnlock(lock);
}

function* inMmapLock<R>({ mmapLock }: TestMm, path: Path<R>): Path<R> {
  yield downWrite(mmapLock);
  const result = yield* path;
  yield upWrite(mmapLock);
  return result;
}

/** An interval of pages 1 and 2 whose invalidate answers `answer`. */
function interval(bus: NotifierBus, mm: TestMm, answer = true): number {
  const ops = bus.defineIntervalOps({
    name: "i",
    *invalidate() {
      yield step("asked", () => 0);
      return answer;
    },
  });
  const row = bus.allocInterval(ops);
  expect(new Scheduler().run(bus.intervalInsert(row, mm.id, PAGE, 2 * PAGE))).toBe(0);
  return row;
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "nothing";
  } catch (error) {
    return error instanceof BusError ? error.code : String(error);
  }
};

describe("calls under the page-table lock", () => {
  it.each([
    ["with intervals, observed", true, true],
    ["with intervals", true, false],
    ["observed", false, true],
    ["alone", false, false],
  ] as const)("the hook, change_pte, aging, and what may not block never sleep: %s", (_, intervals, observed) => {
    const { bus, mm, memory } = machine(V6_4);
    const ptl = testLock(memory, "ptl", "spinlock");
    bus.notifications(mm.id).subscribe(() => undefined);
    if (intervals) interval(bus, mm);
    if (observed) bus.calls.subscribe(() => undefined);
    const range = unmap(mm.id);

    for (const path of [
      bus.invalidateRange(mm.id, 0, PAGE),
      bus.changePte(mm.id, 0, 1),
      bus.clearFlushYoung(mm.id, 0, PAGE),
      bus.clearYoung(mm.id, 0, PAGE),
      bus.testYoung(mm.id, 0),
      bus.invalidateRangeStartNonblock(range),
      bus.invalidateRangeEnd(range),
    ])
      expect(() => new Scheduler().run(under(ptl, path))).not.toThrow();
  });

  it("remove and unregister may sleep, also when they need not", () => {
    const { bus, mm, memory } = machine(V6_4);
    const ptl = testLock(memory, "ptl", "spinlock");
    const row = interval(bus, mm);
    const subscription = bus.subscriptionOf(bus.notifications(mm.id).subscribe(() => undefined));

    for (const path of [bus.intervalRemove(row), bus.unregister(subscription, mm.id)]) {
      expect(() => new Scheduler().run(under(ptl, path))).toThrow(/sleep/);
      ptl.segment.i32[ptl.at] = 0;
    }
  });
});

describe("blockable calls", () => {
  it.each([
    ["observed", false, true],
    ["with intervals", true, false],
    ["alone", false, false],
  ] as const)("start and end may sleep, also when they need not: %s", (_, intervals, observed) => {
    const { bus, mm, memory } = machine(V6_4);
    const ptl = testLock(memory, "ptl", "spinlock");
    if (intervals) interval(bus, mm);
    if (observed) bus.calls.subscribe(() => undefined);

    for (const path of [bus.invalidateRangeStart(unmap(mm.id)), bus.invalidateRangeEnd(unmap(mm.id))]) {
      expect(() => new Scheduler().run(under(ptl, path))).toThrow(/sleep/);
      ptl.segment.i32[ptl.at] = 0;
    }
  });
});

describe("after a refusal", () => {
  it("the ends may sleep: the kernel does not mark them as non-blockable", () => {
    const { bus, mm, memory } = machine(V6_4);
    const lock = testLock(memory, "driver lock", "mutex");
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) => n.refuse());
    bus
      .notifications(mm.id)
      .pipe(phases("end"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield mutexLock(lock);
          yield mutexUnlock(lock);
          yield step("slept", () => log.push("slept"));
        }),
      );

    expect(new Scheduler().run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);
    expect(log).toEqual(["slept"]);
  });

  it("the warning about range_end is for those that have the end of this event", () => {
    const { bus, mm } = machine(V6_4);
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    const kind = bus.defineOps({
      name: "acme",
      interest: interestInPhases(["start"]) | (interestInPhases(["end"]) & interestInEvents(["MMU_NOTIFY_CLEAR"])),
      next: (n) => n.phase === "start" && n.refuse(),
    });
    new Scheduler().run(bus.register(bus.allocSubscription(kind), mm.id));
    const refuse = (event: "MMU_NOTIFY_UNMAP" | "MMU_NOTIFY_CLEAR"): unknown =>
      new Scheduler().run(bus.invalidateRangeStartNonblock({ ...unmap(mm.id), event }));

    refuse("MMU_NOTIFY_UNMAP");
    expect(codes).toEqual([]);
    refuse("MMU_NOTIFY_CLEAR");
    expect(codes).toEqual(["WARN_START_FAILED_HAS_END"]);
  });

  it("test_young asks nobody after work that said yes", () => {
    const { bus, mm } = machine(V6_4);
    const asked: string[] = [];
    for (const name of ["old", "new"])
      bus
        .notifications(mm.id)
        .pipe(phases("test-young"))
        .subscribe((n) => {
          asked.push(name);
          n.waitUntil(function* () {
            yield step("looks", () => 0);
            n.reportYoung();
          });
        });

    expect(new Scheduler().run(bus.testYoung(mm.id, 0))).toBe(1);
    expect(asked).toEqual(["new"]);
  });
});

describe("the -EAGAIN hole, closed", () => {
  it("undoes an interval phase that there was, and none that there was not", () => {
    const { bus, mm, memory } = machine({ ...V6_4, undoIntervalsOnEagain: true });
    const words = (): readonly number[] => {
      const { i32, stride } = memory.segments.find(({ name }) => name === "mmu_notifier_subscriptions")!;
      return [i32[stride + 3]!, i32[stride + 4]!];
    };
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) => n.refuse());
    const run = (path: Path<number>): number => new Scheduler().run(path);

    expect(run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);
    expect(words()).toEqual([2, 0]);
    interval(bus, mm);
    expect(run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);
    expect(words()).toEqual([4, 0]);
    expect(run(bus.invalidateRangeStart(unmap(mm.id)))).toBe(0);
    expect(words()).toEqual([5, 1]);
  });
});

describe("intervals at the edges", () => {
  it("a sequence of few bits comes round to where it began, odd and even as before", () => {
    const { bus, mm } = machine(V6_4, { invalidateSeqBits: 3 });
    const run = (path: Path<unknown>): unknown => new Scheduler().run(path);
    const seen: number[] = [];
    const ops = bus.defineIntervalOps({
      name: "i",
      *invalidate(row, _range, curSeq) {
        seen.push(curSeq);
        yield* bus.intervalSetSeq(row, curSeq);
        return true;
      },
    });
    run(bus.intervalInsert(bus.allocInterval(ops), mm.id, PAGE, PAGE));
    for (let window = 0; window < 6; window++) {
      const range = unmap(mm.id);
      run(bus.invalidateRangeStart(range));
      run(bus.invalidateRangeEnd(range));
    }

    expect(seen).toEqual([3, 5, 7, 1, 3, 5]);
  });

  it("what waits for the end may be removed again, whichever it is", () => {
    for (let removed = 0; removed < 3; removed++) {
      const { bus, mm } = machine(V6_4);
      const run = (path: Path<unknown>): unknown => new Scheduler().run(path);
      interval(bus, mm);
      const range = unmap(mm.id);
      run(bus.invalidateRangeStart(range));
      const waiting = [0, 1, 2].map(() => interval(bus, mm));
      run(bus.intervalRemove(waiting[removed]!));
      bus.freeInterval(waiting[removed]!);
      run(bus.invalidateRangeEnd(range));

      const seen: number[] = [];
      for (const row of waiting.filter((_, index) => index !== removed)) {
        run(bus.intervalRemove(row));
        seen.push(row);
        bus.freeInterval(row);
      }
      expect(seen).toHaveLength(2);
    }
  });

  it("insert_locked wants the lock also when the mm is ready, and returns what registration says", () => {
    const { bus, mm } = machine(V6_4);
    const ops = bus.defineIntervalOps({
      name: "i",
      *invalidate() {
        return true;
      },
    });
    const insert = (): Path<number> => bus.intervalInsertLocked(bus.allocInterval(ops), mm.id, PAGE, PAGE);
    mm.signal();
    expect(new Scheduler().run(inMmapLock(mm, insert()))).toBe(-EINTR);
    const other = machine(V6_4);
    interval(other.bus, other.mm);

    expect(codeOf(() => new Scheduler().run(other.bus.intervalInsertLocked(1, other.mm.id, PAGE, PAGE)))).toBe(
      "BUS_MMAP_LOCK_NOT_HELD",
    );
  });

  it("knows an interval that was freed, and does not free one that is inserted or waits", () => {
    const { bus, mm } = machine(V6_4);
    const run = (path: Path<unknown>): unknown => new Scheduler().run(path);
    const row = interval(bus, mm);
    expect(codeOf(() => bus.freeInterval(row))).toBe("BUS_FREE_IN_USE");
    run(bus.invalidateRangeStart(unmap(mm.id)));
    const waiting = interval(bus, mm);
    expect(codeOf(() => bus.freeInterval(waiting))).toBe("BUS_FREE_IN_USE");
    run(bus.intervalRemove(waiting));
    bus.freeInterval(waiting);

    for (const use of [
      () => bus.freeInterval(waiting),
      () => run(bus.intervalSetSeq(waiting, 3)),
      () => run(bus.intervalReadRetry(waiting, 3)),
      () => run(bus.intervalReadBegin(waiting)),
      () => run(bus.intervalInsert(waiting, mm.id, PAGE, PAGE)),
      () => run(bus.intervalRemove(waiting)),
    ])
      expect(codeOf(use)).toBe("BUS_NOT_ALLOCATED");
  });
});

describe("work that is no work", () => {
  const NONE: readonly (readonly [what: string, work: () => unknown, text: string])[] = [
    ["an async function", async () => undefined, "a Promise"],
    ["a function that returns nothing", () => undefined, "undefined"],
    ["a function that returns a number", () => 1, "number"],
    ["a function that returns null", () => null, "no generator"],
    ["a function that returns an object", () => ({ next: 1 }), "no generator"],
    ["a function that returns an array", () => [], "no generator"],
  ];

  it.each(NONE)("%s is refused with advice", (_, work, text) => {
    const { bus, mm } = machine(V6_4);
    bus
      .notifications(mm.id)
      .named("acme")
      .subscribe((n) => n.waitUntil(work as NotificationWork));

    const fault = faultOf(() => new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id))));
    expect(fault.cause).toMatchObject({ code: "BUS_WORK_NO_PATH" });
    expect((fault.cause as Error).message).toContain(`returns ${text}.`);
  });

  it("work that never ends is ended, and long work is not", () => {
    const { bus, mm } = machine(V6_4);
    let steps = 1000;
    const asked = step("again", () => 0);
    bus
      .notifications(mm.id)
      .named("acme")
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          for (let i = 0; i < steps; i++) yield asked;
        }),
      );

    new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)));
    steps = Infinity;
    const fault = faultOf(() => new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id))));
    expect(fault).toMatchObject({ subscriber: "acme", cause: { code: "BUS_WORK_ENDLESS" } });
  });

  it("a wait that throws is attributed, when it is ready and when it runs; a lock step stays one", () => {
    const { bus, mm, memory } = machine(V6_4);
    const lock = testLock(memory, "driver lock", "mutex");
    let wait = waitFor("the wait", () => {
      throw new Error("not ready");
    });
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield mutexLock(lock);
          yield wait;
        }),
      );
    const run = (): unknown => new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(faultOf(run)).toMatchObject({ cause: { message: "not ready" }, details: { step: "the wait" } });
    expect(lock.segment.i32[lock.at]).not.toBe(0);
    lock.segment.i32[lock.at] = 0;
    wait = waitFor(
      "the wait",
      () => true,
      () => {
        throw new Error("ran");
      },
    );
    expect(faultOf(run)).toMatchObject({ cause: { message: "ran" }, details: { step: "the wait" } });
  });
});

describe("subscribers that are not streams", () => {
  const ops = (next: (n: MmuNotification) => void, wanted: readonly NotificationPhase[] = ["start"]) => ({
    name: "acme",
    interest: interestInPhases(wanted),
    next,
  });

  it("what one throws is attributed and does not stop the others", () => {
    const { bus, mm } = machine(V6_4);
    const log: string[] = [];
    const told = bus.defineOps(ops(() => log.push("told")));
    const throws = bus.defineOps(
      ops(() => {
        throw new Error("no");
      }),
    );
    for (const kind of [told, throws, told]) new Scheduler().run(bus.register(bus.allocSubscription(kind), mm.id));

    const fault = faultOf(() => new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id))));
    expect(fault).toMatchObject({ subscriber: "acme", cause: { message: "no" } });
    expect(log).toEqual(["told", "told"]);
  });

  it("refuse and reportYoung come too late when the bus has gone on", () => {
    const { bus, mm } = machine(V6_4);
    const kept: MmuNotification[] = [];
    const kind = bus.defineOps(ops((n) => kept.push(n), ["start", "test-young"]));
    new Scheduler().run(bus.register(bus.allocSubscription(kind), mm.id));
    new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)));
    new Scheduler().run(bus.testYoung(mm.id, PAGE));

    expect(codeOf(() => kept[0]!.refuse())).toBe("BUS_NOTIFICATION_OVER");
    expect(codeOf(() => kept[1]!.reportYoung())).toBe("BUS_NOTIFICATION_OVER");
  });

  it("there are at most 65535 of them, of 32767 kinds", () => {
    const { bus } = machine(V6_4);
    const kind = bus.defineOps(ops(() => undefined));
    for (let i = 0; i < 65_535; i++) bus.allocSubscription(kind);
    expect(codeOf(() => bus.allocSubscription(kind))).toBe("BUS_TOO_MANY");
    const other = machine(V6_4).bus;
    let last = 0;
    while (last < 32_767) last = other.defineOps(ops(() => undefined));
    expect(codeOf(() => other.allocSubscription(last))).toBe("nothing");
    expect(codeOf(() => other.allocSubscription(other.defineOps(ops(() => undefined))))).toBe("BUS_TOO_MANY");
  });
});

function faultOf(run: () => unknown): SubscriberError {
  try {
    run();
  } catch (error) {
    if (error instanceof SubscriberError) return error;
    throw error;
  }
  throw new Error("nobody threw");
}

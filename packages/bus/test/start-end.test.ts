import {
  ContextError,
  mutexLock,
  mutexTrylock,
  mutexUnlock,
  type Path,
  Scheduler,
  spinLock,
  spinUnlock,
  step,
} from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  type BusCall,
  EAGAIN,
  invalidations,
  isBlockable,
  MMU_NOTIFIER_RANGE_BLOCKABLE,
  type MmuNotification,
  type MmuNotifierRange,
  type NotifierBus,
  phases,
  ranges,
} from "@mmu-notifier/bus";
import { machine, testLock, V6_12, V6_4 } from "./test-mm.js";

const unmap = (mm: number): MmuNotifierRange => ({ mm, start: 0x1000, end: 0x3000, event: "MMU_NOTIFY_UNMAP" });

/** Subscribes `name`; the log gets `name phase` at the callback and `name phase work` when its work runs. */
function listen(bus: NotifierBus, mm: number, name: string, log: string[], more?: (n: MmuNotification) => void): void {
  bus
    .notifications(mm)
    .named(name)
    .subscribe((n) => {
      log.push(`${name} ${n.phase}`);
      more?.(n);
    });
}

function works(log: string[], name: string): (n: MmuNotification) => void {
  return (n) =>
    n.waitUntil(function* () {
      yield step("work", () => log.push(`${name} ${n.phase} work`));
    });
}

function* pair(bus: NotifierBus, range: MmuNotifierRange): Path {
  yield* bus.invalidateRangeStart(range);
  yield* bus.invalidateRangeEnd(range);
}

describe("order of delivery", () => {
  it("calls the newest subscriber first", () => {
    const { bus, mm } = machine(V6_12);
    const log: string[] = [];
    for (const name of ["old", "middle", "new"]) {
      bus
        .notifications(mm.id)
        .pipe(phases("start"))
        .subscribe(() => log.push(name));
    }

    new Scheduler().run(pair(bus, unmap(mm.id)));

    expect(log).toEqual(["new", "middle", "old"]);
  });

  it("does each subscriber's work before the next is called", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    listen(bus, mm.id, "a", log, works(log, "a"));
    listen(bus, mm.id, "b", log, works(log, "b"));

    new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["b start", "b start work", "a start", "a start work"]);
  });

  it("runs several pieces of work of one subscriber in the order given", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    listen(bus, mm.id, "a", log, (n) => {
      for (const piece of ["one", "two"]) {
        n.waitUntil(function* () {
          yield step(piece, () => log.push(piece));
        });
      }
    });

    new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["a start", "one", "two"]);
  });

  it("up to v6.5, end calls the hook and then range_end of each subscription, interleaved", () => {
    const { bus, mm } = machine(V6_4);
    const log: string[] = [];
    listen(bus, mm.id, "a", log);
    listen(bus, mm.id, "b", log, works(log, "b"));

    new Scheduler().run(bus.invalidateRangeEnd(unmap(mm.id)));

    expect(log).toEqual([
      "b invalidate-range",
      "b invalidate-range work",
      "b end",
      "b end work",
      "a invalidate-range",
      "a end",
    ]);
  });

  it("the hook gets the whole range, has no event and is not blockable", () => {
    const { bus, mm } = machine(V6_4);
    const seen: MmuNotification[] = [];
    bus
      .notifications(mm.id)
      .pipe(invalidations())
      .subscribe((n) => seen.push(n));

    new Scheduler().run(pair(bus, unmap(mm.id)));

    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ start: 0x1000, end: 0x3000, event: undefined, blockable: false });
  });

  it("only_end skips the hook", () => {
    const { bus, mm } = machine(V6_4);
    const log: string[] = [];
    listen(bus, mm.id, "a", log);

    new Scheduler().run(bus.invalidateRangeEnd(unmap(mm.id), true));

    expect(log).toEqual(["a end"]);
  });

  it("from v6.6 on, end does not call the hook, which arrives under its new name", () => {
    const { bus, mm } = machine(V6_12);
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(ranges())
      .subscribe((n) => log.push(n.phase));
    bus
      .notifications(mm.id)
      .pipe(invalidations())
      .subscribe((n) => log.push(n.phase));
    const scheduler = new Scheduler();

    scheduler.run(pair(bus, unmap(mm.id)));
    scheduler.run(bus.invalidateRange(mm.id, 0, 4096));

    expect(log).toEqual(["start", "end", "arch-invalidate-secondary-tlbs"]);
  });

  it("the hook may be called outside any start and end, and with part of a range", () => {
    const { bus, mm } = machine(V6_4);
    const seen: number[] = [];
    bus.notifications(mm.id).subscribe((n) => seen.push(n.start, n.end));

    new Scheduler().run(bus.invalidateRange(mm.id, 0x1000, 0x2000));

    expect(seen).toEqual([0x1000, 0x2000]);
  });

  it("subscribers of another mm are not called", () => {
    const { bus, mms } = machine(V6_4, { mms: 2 });
    const log: string[] = [];
    listen(bus, mms[0]!.id, "a", log);
    listen(bus, mms[1]!.id, "b", log);

    new Scheduler().run(bus.invalidateRangeStart(unmap(mms[1]!.id)));

    expect(log).toEqual(["b start"]);
  });

  it("an mm without notifiers costs a step and delivers nothing", () => {
    const { bus, mm } = machine();
    const calls: BusCall[] = [];
    bus.calls.subscribe((call) => calls.push(call));

    expect(bus.hasNotifiers(mm.id)).toBe(false);
    new Scheduler().run(pair(bus, unmap(mm.id)));

    expect(calls).toEqual([]);
  });
});

describe("blockable and non-blockable", () => {
  it("start sets BLOCKABLE in the range and start_nonblock clears it", () => {
    const { bus, mm } = machine();
    listen(bus, mm.id, "a", []);
    const scheduler = new Scheduler();
    const range = { ...unmap(mm.id), flags: 0 };

    scheduler.run(bus.invalidateRangeStart(range));
    expect(range.flags).toBe(MMU_NOTIFIER_RANGE_BLOCKABLE);
    scheduler.run(bus.invalidateRangeStartNonblock(range));

    expect(range.flags).toBe(0);
    expect(isBlockable(unmap(mm.id))).toBe(true);
  });

  it("end takes from the range whether it may sleep", () => {
    const { bus, mm } = machine();
    const seen: boolean[] = [];
    bus
      .notifications(mm.id)
      .pipe(ranges())
      .subscribe((n) => seen.push(n.blockable));
    const scheduler = new Scheduler();
    const range = unmap(mm.id);

    scheduler.run(bus.invalidateRangeStartNonblock(range));
    scheduler.run(bus.invalidateRangeEnd(range));

    expect(seen).toEqual([false, false]);
  });

  it("a blockable start and end call might_sleep, also when nobody subscribes", () => {
    const { bus, mm, memory } = machine();
    const ptl = testLock(memory, "ptl", "spinlock");
    function* under(path: Path<unknown>): Path {
      yield spinLock(ptl);
      yield* path;
      yield spinUnlock(ptl);
    }

    expect(() => new Scheduler().run(under(bus.invalidateRangeStart(unmap(mm.id))))).toThrow(ContextError);
    spinFree(ptl);
    expect(() => new Scheduler().run(under(bus.invalidateRangeEnd(unmap(mm.id))))).toThrow(/SLEEP_IN_ATOMIC|sleeping/);
    spinFree(ptl);
    new Scheduler().run(under(bus.invalidateRangeStartNonblock(unmap(mm.id))));
  });

  it("non-blockable callbacks run in a non-blockable section: sleeping is an error", () => {
    const { bus, mm, memory } = machine();
    const lock = testLock(memory, "driver lock", "mutex");
    listen(bus, mm.id, "sleeper", [], (n) =>
      n.waitUntil(function* () {
        yield mutexLock(lock);
        yield mutexUnlock(lock);
      }),
    );

    new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)));
    expect(() => new Scheduler().run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toThrow(
      /sleeper\.invalidate_range_start.*non-blockable/,
    );
  });

  it("a non-blockable end is a non-blockable section too", () => {
    const { bus, mm, memory } = machine(V6_12);
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

    expect(() => new Scheduler().run(bus.invalidateRangeEnd({ ...unmap(mm.id), flags: 0 }))).toThrow(ContextError);
  });

  it("the hook must not sleep, even when range_end calls it", () => {
    const { bus, mm, memory } = machine(V6_4);
    const lock = testLock(memory, "driver lock", "mutex");
    bus
      .notifications(mm.id)
      .pipe(invalidations())
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield mutexLock(lock);
          yield mutexUnlock(lock);
        }),
      );

    expect(() => new Scheduler().run(bus.invalidateRange(mm.id, 0, 4096))).toThrow(ContextError);
    expect(() => new Scheduler().run(bus.invalidateRangeEnd(unmap(mm.id)))).toThrow(ContextError);
  });
});

describe("-EAGAIN", () => {
  it("a refusal goes on to the remaining subscribers, then gives an end to everybody who has one", () => {
    const { bus, mm } = machine(V6_12);
    const log: string[] = [];
    const add = (name: string, ...wanted: ("start" | "end")[]): void => {
      bus
        .notifications(mm.id)
        .pipe(phases(...wanted))
        .subscribe((n) => {
          log.push(`${name} ${n.phase}`);
          if (name === "refuser") n.refuse();
        });
    };
    add("old", "start", "end");
    add("refuser", "start");
    add("new", "start", "end");
    const scheduler = new Scheduler();

    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);

    expect(log).toEqual(["new start", "refuser start", "old start", "new end", "old end"]);
  });

  it("the ends of a refused start do not call the hook and may do work", () => {
    const { bus, mm } = machine(V6_4);
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) => n.refuse());
    listen(bus, mm.id, "a", log, works(log, "a"));
    listen(bus, mm.id, "b", log);

    new Scheduler().run(bus.invalidateRangeStartNonblock(unmap(mm.id)));

    expect(log).toEqual(["b start", "a start", "a start work", "b end", "a end", "a end work"]);
  });

  it("work may try a lock and then refuse", () => {
    const { bus, mm, memory } = machine(V6_12);
    const lock = testLock(memory, "driver lock", "mutex");
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          if ((yield mutexTrylock(lock)) === 0) n.refuse();
          else yield mutexUnlock(lock);
        }),
      );
    const scheduler = new Scheduler();

    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(0);
    lock.segment.i32[lock.at] = 7;
    expect(scheduler.run(bus.invalidateRangeStartNonblock(unmap(mm.id)))).toBe(-EAGAIN);
  });

  it("a blockable start that is refused warns and returns 0", () => {
    const { bus, mm } = machine();
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    bus
      .notifications(mm.id)
      .named("bad")
      .pipe(phases("start"))
      .subscribe((n) => n.refuse());

    expect(new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)))).toBe(0);

    expect(codes).toEqual(["WARN_START_FAILED_BLOCKABLE"]);
  });

  it("a refusal by a subscriber that has range_end warns", () => {
    const { bus, mm } = machine();
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    bus
      .notifications(mm.id)
      .pipe(ranges())
      .subscribe((n) => {
        if (n.phase === "start") n.refuse();
      });

    new Scheduler().run(bus.invalidateRangeStartNonblock(unmap(mm.id)));

    expect(codes).toEqual(["WARN_START_FAILED_HAS_END"]);
  });

  it("refuse() is an error in any other phase", () => {
    const { bus, mm } = machine();
    const errors: string[] = [];
    bus.faults.subscribe((error) => errors.push(String((error.cause as { code?: string }).code)));
    bus
      .notifications(mm.id)
      .pipe(phases("end"))
      .subscribe((n) => n.refuse());

    new Scheduler().run(bus.invalidateRangeEnd(unmap(mm.id)));

    expect(errors).toEqual(["BUS_REFUSE_NOT_ALLOWED"]);
  });
});

describe("aging and change_pte", () => {
  it("clear_flush_young and clear_young ask everybody and OR the answers", () => {
    const { bus, mm } = machine();
    const asked: string[] = [];
    for (const young of [false, true, false]) {
      bus
        .notifications(mm.id)
        .pipe(phases("clear-flush-young", "clear-young"))
        .subscribe((n) => {
          asked.push(n.phase);
          if (young) n.reportYoung();
        });
    }
    const scheduler = new Scheduler();

    expect(scheduler.run(bus.clearFlushYoung(mm.id, 0, 4096))).toBe(1);
    expect(scheduler.run(bus.clearYoung(mm.id, 0, 4096))).toBe(1);

    expect(asked).toHaveLength(6);
  });

  it("test_young stops at the first that is young", () => {
    const { bus, mm } = machine();
    const asked: string[] = [];
    for (const name of ["never asked", "young", "first"]) {
      bus
        .notifications(mm.id)
        .pipe(phases("test-young"))
        .subscribe((n) => {
          asked.push(name);
          if (name === "young") n.reportYoung();
        });
    }

    expect(new Scheduler().run(bus.testYoung(mm.id, 4096))).toBe(1);

    expect(asked).toEqual(["first", "young"]);
  });

  it("aging returns 0 when nobody is young", () => {
    const { bus, mm } = machine();
    bus.notifications(mm.id).subscribe(() => undefined);

    expect(new Scheduler().run(bus.testYoung(mm.id, 4096))).toBe(0);
  });

  it("reportYoung() is an error in any other phase", () => {
    const { bus, mm } = machine();
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) => n.reportYoung());

    expect(() => new Scheduler().run(bus.invalidateRangeStart(unmap(mm.id)))).toThrow(/reportYoung/);
  });

  it("change_pte carries the new entry", () => {
    const { bus, mm } = machine();
    const seen: (number | undefined)[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("change-pte"))
      .subscribe((n) => seen.push(n.start, n.pte));

    new Scheduler().run(bus.changePte(mm.id, 0x5000, 42));

    expect(seen).toEqual([0x5000, 42]);
  });

  it("a kernel without change_pte has no such call", () => {
    const { bus, mm } = machine(V6_12);

    expect(() => bus.changePte(mm.id, 0x5000, 42)).toThrow(/change_pte/);
  });
});

describe("the record of calls", () => {
  it("has one item for each kernel-level call, in order, with what was passed and returned", () => {
    const { bus, mm } = machine(V6_4);
    const calls: BusCall[] = [];
    bus.calls.subscribe((call) => calls.push(call));
    bus
      .notifications(mm.id)
      .pipe(phases("start", "clear-young"))
      .subscribe((n) => {
        if (n.phase === "clear-young") n.reportYoung();
        else if (!n.blockable) n.refuse();
      });
    const scheduler = new Scheduler();
    const mid = mm.id;

    scheduler.run(pair(bus, unmap(mid)));
    scheduler.run(bus.invalidateRangeEnd(unmap(mid), true));
    scheduler.run(bus.invalidateRangeStartNonblock(unmap(mid)));
    scheduler.run(bus.invalidateRange(mid, 0, 4096));
    scheduler.run(bus.changePte(mid, 0, 1));
    scheduler.run(bus.clearYoung(mid, 0, 4096));
    scheduler.run(bus.release(mid));

    expect(calls.map(({ call, flags, onlyEnd, ret }) => ({ call, flags, onlyEnd, ret }))).toEqual([
      { call: "invalidate_range_start", flags: 1, onlyEnd: undefined, ret: undefined },
      { call: "invalidate_range_end", flags: 1, onlyEnd: false, ret: undefined },
      { call: "invalidate_range_end", flags: 1, onlyEnd: true, ret: undefined },
      { call: "invalidate_range_start", flags: 0, onlyEnd: undefined, ret: -EAGAIN },
      { call: "invalidate_range", flags: undefined, onlyEnd: undefined, ret: undefined },
      { call: "change_pte", flags: undefined, onlyEnd: undefined, ret: undefined },
      { call: "clear_young", flags: undefined, onlyEnd: undefined, ret: 1 },
      { call: "release", flags: undefined, onlyEnd: undefined, ret: undefined },
    ]);
  });

  it("goes on after the last subscriber has left, because mm_has_notifiers stays true", () => {
    const { bus, mm } = machine();
    const calls: BusCall[] = [];
    bus.calls.subscribe((call) => calls.push(call));
    bus
      .notifications(mm.id)
      .subscribe(() => undefined)
      .unsubscribe();

    new Scheduler().run(pair(bus, unmap(mm.id)));

    expect(calls).toHaveLength(2);
  });

  it("an event that the kernel does not have is refused", () => {
    const { bus, mm } = machine(V6_12);

    expect(() =>
      bus.invalidateRangeStart({ mm: mm.id, start: 0, end: 1, event: "MMU_NOTIFY_PROTECTION_UPGRADE" }),
    ).toThrow(/PROTECTION_UPGRADE/);
    expect(() =>
      bus.invalidateRangeStart({ mm: mm.id, start: 0, end: 1, event: "MMU_NOTIFY_UPGRAGE" as "MMU_NOTIFY_UNMAP" }),
    ).toThrow(/no MMU notifier event/);
  });
});

function spinFree(lock: { readonly segment: { readonly i32: Int32Array }; readonly at: number }): void {
  lock.segment.i32[lock.at] = 0;
}

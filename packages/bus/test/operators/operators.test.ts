import { Scheduler, step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { Subject } from "rxjs";
import { describe, expect, it } from "vitest";
import {
  alignedTo,
  clippedTo,
  coalesced,
  costMeter,
  exceptOwner,
  invalidations,
  type MmuNotification,
  type MmuNotifierRange,
  type NotificationCost,
  type NotificationRate,
  type NotificationWindow,
  type NotifierBus,
  ownedBy,
  pairStartEnd,
  phases,
  ranges,
  rateMeter,
  ULONG_MAX,
} from "@mmu-notifier/bus";
import { machine, V6_12, V6_4 } from "../test-mm.js";

const at = (mm: number, start: number, end: number, more: Partial<MmuNotifierRange> = {}): MmuNotifierRange => ({
  mm,
  start,
  end,
  event: "MMU_NOTIFY_CLEAR",
  ...more,
});

function start(bus: NotifierBus, ...list: MmuNotifierRange[]): void {
  for (const range of list) new Scheduler().run(bus.invalidateRangeStart(range));
}

describe("clippedTo", () => {
  it("passes the part inside the window and drops what is outside", () => {
    const { bus, mm } = machine();
    const seen: number[][] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start", "release"), clippedTo({ start: 0x4000, end: 0x6000 }))
      .subscribe((n) => seen.push([n.start, n.end]));

    start(
      bus,
      at(mm.id, 0x1000, 0x9000),
      at(mm.id, 0xa000, 0xb000),
      at(mm.id, 0x5000, 0x5800),
      at(mm.id, 0x6000, 0x7000),
    );
    new Scheduler().run(bus.release(mm.id));

    expect(seen).toEqual([
      [0x4000, 0x6000],
      [0x5000, 0x5800],
      [0x4000, 0x6000],
    ]);
  });

  it("answers for the notification that it was made from", () => {
    const { bus, mm } = machine(V6_12);
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start", "clear-young"), clippedTo({ start: 0, end: 0x1000 }))
      .subscribe((n) => {
        if (n.phase === "clear-young") n.reportYoung();
        else if (!n.blockable) n.refuse();
        else {
          n.waitUntil(function* () {
            yield step("work", () => log.push("work"));
          });
        }
      });
    const scheduler = new Scheduler();

    start(bus, at(mm.id, 0, 0x2000));

    expect(log).toEqual(["work"]);
    expect(scheduler.run(bus.invalidateRangeStartNonblock(at(mm.id, 0, 0x2000)))).toBe(-11);
    expect(scheduler.run(bus.clearYoung(mm.id, 0, 0x2000))).toBe(1);
  });
});

describe("alignedTo", () => {
  const reshape = (granule: number, shape: "multiple" | "power-of-two", from: number, to: number): [number, number] => {
    const { bus, mm } = machine();
    let seen: [number, number] = [-1, -1];
    bus
      .notifications(mm.id)
      .pipe(phases("start"), alignedTo(granule, shape))
      .subscribe((n) => {
        seen = [n.start, n.end];
      });
    start(bus, at(mm.id, from, to));
    return seen;
  };

  it("widens to whole pages and whole huge pages", () => {
    expect(reshape(4096, "multiple", 0x1800, 0x4001)).toEqual([0x1000, 0x5000]);
    expect(reshape(2 ** 21, "multiple", 0x1800, 0x4001)).toEqual([0, 2 ** 21]);
  });

  it("gives the span of ATC_INV: the whole, when the range straddles the middle", () => {
    expect(reshape(4096, "power-of-two", 0x1000, 0x3000)).toEqual([0, 0x4000]);
    expect(reshape(4096, "power-of-two", 0x2000, 0x4000)).toEqual([0x2000, 0x4000]);
    expect(reshape(4096, "power-of-two", 0, ULONG_MAX)).toEqual([0, ULONG_MAX]);
    expect(reshape(4096, "power-of-two", 0x7fff_f000, 0x8000_1000)).toEqual([0, 2 ** 32]);
  });

  it("the span covers the range, is naturally aligned, and no smaller one does", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 30 }), fc.integer({ min: 1, max: 2 ** 20 }), (from, length) => {
        const [low, high] = reshape(4096, "power-of-two", from, from + length);
        const size = high - low;

        expect(low).toBeLessThanOrEqual(from);
        expect(high).toBeGreaterThanOrEqual(from + length);
        expect(Number.isInteger(Math.log2(size / 4096))).toBe(true);
        expect(low % size).toBe(0);
        if (size > 4096) {
          const half = size / 2;
          expect(Math.floor(from / half)).not.toBe(Math.floor((from + length - 1) / half));
        }
      }),
      { numRuns: 200 },
    );
  });

  it("wants a power of two", () => {
    expect(() => alignedTo(3000)).toThrow(/power of two/);
    expect(() => alignedTo(0)).toThrow(/power of two/);
  });
});

describe("ownedBy and exceptOwner", () => {
  const cases = (mm: number): MmuNotifierRange[] => [
    at(mm, 0, 1, { event: "MMU_NOTIFY_MIGRATE", owner: 7 }),
    at(mm, 0, 2, { event: "MMU_NOTIFY_EXCLUSIVE", owner: 8 }),
    at(mm, 0, 3, { event: "MMU_NOTIFY_EXCLUSIVE" }),
    at(mm, 0, 4, { event: "MMU_NOTIFY_UNMAP", owner: 7 }),
  ];
  function ends(owner: number, operator: typeof ownedBy): number[] {
    const { bus, mm } = machine();
    const seen: number[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start"), operator(owner))
      .subscribe((n) => seen.push(n.end));
    start(bus, ...cases(mm.id));
    return seen;
  }

  it("look at the owner of MIGRATE and EXCLUSIVE only", () => {
    expect(ends(7, ownedBy)).toEqual([1]);
    expect(ends(7, exceptOwner)).toEqual([2, 3, 4]);
  });

  it("never fire for owner 0", () => {
    expect(ends(0, ownedBy)).toEqual([]);
    expect(ends(0, exceptOwner)).toEqual([1, 2, 3, 4]);
  });
});

describe("coalesced", () => {
  it("joins touching ranges until something else arrives or flush emits", () => {
    const { bus, mm } = machine();
    const flush = new Subject<void>();
    const seen: number[][] = [];
    bus
      .notifications(mm.id)
      .pipe(invalidations(), coalesced(flush))
      .subscribe((n) => seen.push([n.start, n.end, n.count]));
    const scheduler = new Scheduler();

    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 4],
      [8, 9],
    ] as const)
      scheduler.run(bus.invalidateRange(mm.id, from, to));
    expect(seen).toEqual([[0, 4, 3]]);
    flush.next();
    flush.next();

    expect(seen).toEqual([
      [0, 4, 3],
      [8, 9, 1],
    ]);
  });

  it("emits the rest when the source completes and passes its error on", () => {
    const source = new Subject<MmuNotification>();
    const failing = new Subject<MmuNotification>();
    const seen: unknown[] = [];
    source
      .pipe(coalesced())
      .subscribe({ next: ({ count }) => seen.push(count), complete: () => seen.push("complete") });
    failing.pipe(coalesced()).subscribe({ error: (error) => seen.push(error) });

    source.next({ phase: "start", mm: 1, start: 0, end: 1 } as MmuNotification);
    source.complete();
    failing.error("failed");

    expect(seen).toEqual([1, "complete", "failed"]);
  });

  it("what its subscriber throws is attributed", () => {
    const { bus, mm } = machine();
    const faults: string[] = [];
    bus.faults.subscribe(({ subscriber }) => faults.push(subscriber));
    bus
      .notifications(mm.id)
      .pipe(phases("start"), coalesced())
      .subscribe(function picture() {
        throw new Error("no");
      });

    start(bus, at(mm.id, 0, 1), at(mm.id, 5, 6));

    expect(faults).toEqual(["picture"]);
  });
});

describe("pairStartEnd", () => {
  it("pairs the latest open start of the same range", () => {
    const { bus, mm } = machine(V6_12);
    const windows: NotificationWindow[] = [];
    bus
      .notifications(mm.id)
      .pipe(ranges(), pairStartEnd())
      .subscribe((window) => windows.push(window));
    const scheduler = new Scheduler();
    const outer = at(mm.id, 0, 100);
    const inner = at(mm.id, 10, 20);

    scheduler.run(bus.invalidateRangeEnd(at(mm.id, 1, 2)));
    scheduler.run(bus.invalidateRangeStart(outer));
    scheduler.run(bus.invalidateRangeStart(inner));
    scheduler.run(bus.invalidateRangeEnd(inner));
    scheduler.run(bus.invalidateRangeEnd(outer));

    expect(windows.map((w) => [w.start.phase, w.end.phase, w.end.end, w.stillOpen])).toEqual([
      ["start", "end", 20, 1],
      ["start", "end", 100, 0],
    ]);
  });

  it("ends with its source", () => {
    const source = new Subject<MmuNotification>();
    const log: unknown[] = [];
    source.pipe(pairStartEnd()).subscribe({ complete: () => log.push("complete") });
    const failing = new Subject<MmuNotification>();
    failing.pipe(pairStartEnd()).subscribe({ error: (error) => log.push(error) });

    source.complete();
    failing.error("failed");

    expect(log).toEqual(["complete", "failed"]);
  });
});

describe("rateMeter", () => {
  it("emits each window that had notifications", () => {
    const source = new Subject<MmuNotification>();
    const rates: NotificationRate[] = [];
    let now = 0;
    source.pipe(rateMeter({ window: 10, clock: () => now })).subscribe((rate) => rates.push(rate));
    const tick = (time: number): void => {
      now = time;
      source.next({ start: 0, end: 4096 } as MmuNotification);
    };

    for (const time of [1, 3, 9, 34]) tick(time);
    source.complete();

    expect(rates).toEqual([
      { from: 0, to: 10, count: 3, bytes: 3 * 4096, rate: 0.3 },
      { from: 30, to: 40, count: 1, bytes: 4096, rate: 0.1 },
    ]);
  });

  it("passes an error on", () => {
    const source = new Subject<MmuNotification>();
    const errors: unknown[] = [];
    source.pipe(rateMeter({ window: 1, clock: () => 0 })).subscribe({ error: (error) => errors.push(error) });

    source.error("failed");

    expect(errors).toEqual(["failed"]);
  });
});

describe("costMeter", () => {
  it("reports steps and time of each piece of work, also of one that throws", () => {
    const { bus, mm } = machine(V6_4);
    const costs: NotificationCost[] = [];
    bus.faults.subscribe(() => undefined);
    let now = 0;
    const spend = step("spend", () => (now += 5));
    bus
      .notifications(mm.id)
      .pipe(
        phases("start", "end"),
        costMeter(
          (cost) => costs.push(cost),
          () => now,
        ),
      )
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield spend;
          yield spend;
          if (n.phase === "end") {
            yield step("bad", () => {
              throw new Error("no");
            });
          }
        }),
      );
    const scheduler = new Scheduler();
    const range = at(mm.id, 0x1000, 0x2000);

    scheduler.run(bus.invalidateRangeStart(range));
    scheduler.run(bus.invalidateRangeEnd(range));

    expect(costs).toEqual([
      { phase: "start", event: "MMU_NOTIFY_CLEAR", start: 0x1000, end: 0x2000, steps: 2, elapsed: 10 },
      { phase: "end", event: "MMU_NOTIFY_CLEAR", start: 0x1000, end: 0x2000, steps: 3, elapsed: 10 },
    ]);
  });

  it("counts without a clock", () => {
    const { bus, mm } = machine();
    const costs: number[] = [];
    bus
      .notifications(mm.id)
      .pipe(
        phases("start"),
        costMeter(({ steps, elapsed }) => costs.push(steps, elapsed)),
      )
      .subscribe((n) => {
        n.waitUntil(function* () {
          yield step("one", () => 0);
        });
      });

    start(bus, at(mm.id, 0, 1));

    expect(costs).toEqual([1, 0]);
  });
});

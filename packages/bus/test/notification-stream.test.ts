import { Scheduler, step, waitFor } from "@mmu-notifier/steps";
import { filter, map, merge, Subject, take } from "rxjs";
import { describe, expect, it } from "vitest";
import {
  exceptEvents,
  invalidations,
  MMU_NOTIFY_EVENTS,
  type MmuNotification,
  type MmuNotifierRange,
  type MmuNotifyEvent,
  named,
  type NotificationStream,
  onlyEvents,
  phases,
  ranges,
  type SubscriberError,
} from "@mmu-notifier/bus";
import { machine, V6_12, V6_4 } from "./test-mm.js";

const range = (mm: number, event: MmuNotifyEvent = "MMU_NOTIFY_UNMAP"): MmuNotifierRange => ({
  mm,
  start: 0x1000,
  end: 0x3000,
  event,
});

describe("interest", () => {
  it("is what the narrowing operators left, known when subscribing", () => {
    const { bus, mm } = machine();
    const stream = bus.notifications(mm.id);
    const bits = (s: unknown): number => (s as NotificationStream).interest.toString(2).replaceAll("0", "").length;

    expect(bits(stream)).toBe(25);
    expect(bits(stream.pipe(exceptEvents("MMU_NOTIFY_PROTECTION_UPGRADE")))).toBe(23);
    expect(bits(stream.pipe(onlyEvents("MMU_NOTIFY_UNMAP", "MMU_NOTIFY_CLEAR")))).toBe(4);
    expect(bits(stream.pipe(phases("start", "release")))).toBe(10);
    expect(bits(stream.pipe(ranges(), exceptEvents("MMU_NOTIFY_UNMAP"), phases("end")))).toBe(8);
    expect(bits(stream.pipe(invalidations()))).toBe(2);
  });

  it("keeps a filtered subscriber from being called at all", () => {
    const { bus, mm } = machine();
    let operatorRan = 0;
    bus
      .notifications(mm.id)
      .pipe(
        ranges(),
        exceptEvents("MMU_NOTIFY_PROTECTION_UPGRADE"),
        map((n) => (operatorRan++, n)),
      )
      .subscribe(() => undefined);
    const scheduler = new Scheduler();
    const labels: string[] = [];
    scheduler.observe((_task, { label }) => labels.push(label));

    scheduler.run(bus.invalidateRangeStart(range(mm.id, "MMU_NOTIFY_PROTECTION_UPGRADE")));
    expect(operatorRan).toBe(0);
    expect(labels).not.toContain("srcu_read_unlock(mmu_notifier)");
    scheduler.run(bus.invalidateRangeStart(range(mm.id)));

    expect(operatorRan).toBe(1);
  });

  it("exceptEvents and onlyEvents of the same events split every notification", () => {
    const { bus, mm } = machine(V6_4);
    const all: string[] = [];
    const parts: string[] = [];
    const text = (n: MmuNotification): string => `${n.phase} ${n.event}`;
    bus.notifications(mm.id).subscribe((n) => all.push(text(n)));
    bus
      .notifications(mm.id)
      .pipe(onlyEvents("MMU_NOTIFY_CLEAR", "MMU_NOTIFY_MIGRATE"))
      .subscribe((n) => parts.push(text(n)));
    bus
      .notifications(mm.id)
      .pipe(exceptEvents("MMU_NOTIFY_CLEAR", "MMU_NOTIFY_MIGRATE"))
      .subscribe((n) => parts.push(text(n)));
    const scheduler = new Scheduler();

    for (const event of MMU_NOTIFY_EVENTS) {
      scheduler.run(bus.invalidateRangeStart(range(mm.id, event)));
      scheduler.run(bus.invalidateRangeEnd(range(mm.id, event)));
    }
    scheduler.run(bus.changePte(mm.id, 0, 1));
    scheduler.run(bus.testYoung(mm.id, 0));
    scheduler.run(bus.release(mm.id));

    expect(parts.sort()).toEqual(all.sort());
  });

  it("filters as usual when an operator stands in the way, and on streams that are not the bus's", () => {
    const { bus, mm } = machine(V6_4);
    const events: (string | undefined)[] = [];
    const other = new Subject<MmuNotification>();
    other.pipe(onlyEvents("MMU_NOTIFY_CLEAR")).subscribe((n) => events.push(`other ${n.event}`));
    bus
      .notifications(mm.id)
      .pipe(
        ranges(),
        filter((n) => n.phase === "start"),
        exceptEvents("MMU_NOTIFY_UNMAP"),
      )
      .subscribe((n) => events.push(n.event));
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) => other.next(n));
    const scheduler = new Scheduler();

    scheduler.run(bus.invalidateRangeStart(range(mm.id, "MMU_NOTIFY_UNMAP")));
    scheduler.run(bus.invalidateRangeStart(range(mm.id, "MMU_NOTIFY_CLEAR")));

    expect(events).toEqual(["other MMU_NOTIFY_CLEAR", "MMU_NOTIFY_CLEAR"]);
  });
});

describe("joining and leaving", () => {
  it("subscribing is registration at once: references and newest first", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const first = bus.notifications(mm.id).subscribe(() => log.push("first"));
    bus.notifications(mm.id).subscribe(() => log.push("second"));
    expect(mm.count()).toBe(3);

    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));
    first.unsubscribe();
    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));

    expect(log).toEqual(["second", "first", "second"]);
    expect(mm.count()).toBe(2);
  });

  it("rows of subscribers that left are used again", () => {
    const { bus, mm } = machine();

    for (let i = 0; i < 5; i++) {
      const subscription = bus.notifications(mm.id).subscribe(() => undefined);
      expect(bus.subscriptionOf(subscription)).toBe(1);
      subscription.unsubscribe();
    }

    expect(bus.subscriptionOf(new Subject().subscribe())).toBe(0);
  });

  it("a subscriber may leave from its own callback and still have its work done", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe(() => log.push("old"));
    bus
      .notifications(mm.id)
      .pipe(phases("start"), take(1))
      .subscribe((n) => {
        log.push("once");
        n.waitUntil(function* () {
          yield step("work", () => log.push("work"));
        });
      });
    const scheduler = new Scheduler();

    scheduler.run(bus.invalidateRangeStart(range(mm.id)));
    scheduler.run(bus.invalidateRangeStart(range(mm.id)));
    expect(log).toEqual(["once", "work", "old", "old"]);
    const again = bus.notifications(mm.id).subscribe(() => undefined);

    expect(bus.subscriptionOf(again)).toBe(2);
    expect(mm.count()).toBe(3);
  });

  it("from v6.6 on, a stream of everything is refused with advice", () => {
    const { bus, mm } = machine(V6_12);

    expect(() => bus.notifications(mm.id).subscribe(() => undefined)).toThrow(/ranges\(\) or invalidations\(\)/);

    expect(mm.count()).toBe(1);
    bus
      .notifications(mm.id)
      .pipe(ranges())
      .subscribe(() => undefined);
  });

  it("prepare makes a subscription that paths register and unregister", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const { subscription, stream } = bus.prepare(bus.notifications(mm.id).pipe(ranges()), (n) => log.push(n.phase));
    const scheduler = new Scheduler();

    scheduler.run(bus.invalidateRangeStart(range(mm.id)));
    expect(scheduler.run(bus.register(subscription, mm.id))).toBe(0);
    scheduler.run(bus.invalidateRangeStart(range(mm.id)));
    scheduler.run(bus.unregister(subscription, mm.id));
    scheduler.run(bus.invalidateRangeStart(range(mm.id)));
    stream.unsubscribe();

    expect(log).toEqual(["start"]);
    expect(mm.count()).toBe(1);
    expect(() => bus.prepare(new Subject(), () => undefined)).toThrow(/notifications\(\)/);
  });

  it("streams may be merged", () => {
    const { bus, mms } = machine(V6_4, { mms: 2 });
    const seen: number[] = [];
    const both = merge(...mms.map(({ id }) => bus.notifications(id).pipe(phases("start"))));
    both.subscribe((n) => seen.push(n.mm));
    const scheduler = new Scheduler();

    for (const { id } of mms) scheduler.run(bus.invalidateRangeStart(range(id)));

    expect(seen).toEqual([1, 2]);
  });
});

describe("a subscriber that throws", () => {
  function thrower(body: (n: MmuNotification) => void) {
    const { bus, mm } = machine();
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe(() => log.push("old"));
    bus.notifications(mm.id).pipe(phases("start"), named("acme-npu")).subscribe(body);
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe(() => log.push("new"));
    return { bus, mm, log };
  }

  it("is named, with phase, event and range, and the others are served", () => {
    const cause = new Error("boom");
    const { bus, mm, log } = thrower(() => {
      throw cause;
    });
    const faults: SubscriberError[] = [];
    bus.faults.subscribe((fault) => faults.push(fault));

    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));

    expect(log).toEqual(["new", "old"]);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({
      subscriber: "acme-npu",
      cause,
      details: { phase: "start", event: "MMU_NOTIFY_UNMAP", start: 0x1000, end: 0x3000 },
    });
    expect(faults[0]!.message).toBe(
      "subscriber acme-npu threw in invalidate_range_start of MMU_NOTIFY_UNMAP for mm 1 [0x1000, 0x3000): boom. The others were served; repair acme-npu",
    );
  });

  it("makes the call throw after everybody was served, when nobody observes faults", () => {
    const { bus, mm, log } = thrower(() => {
      throw new Error("boom");
    });
    const scheduler = new Scheduler();

    expect(() => scheduler.run(bus.invalidateRangeStart(range(mm.id)))).toThrow(/acme-npu/);

    expect(log).toEqual(["new", "old"]);
  });

  it.each([
    [
      "in the work's own code",
      (n: MmuNotification) =>
        n.waitUntil(() => {
          throw new Error("boom");
        }),
    ],
    [
      "in a step of the work",
      (n: MmuNotification) =>
        n.waitUntil(function* () {
          yield step("bad step", () => {
            throw new Error("boom");
          });
        }),
    ],
    [
      "in what a step waits for",
      (n: MmuNotification) =>
        n.waitUntil(function* () {
          yield waitFor("bad wait", () => {
            throw new Error("boom");
          });
        }),
    ],
  ])("is caught %s", (_where, body) => {
    const { bus, mm, log } = thrower(body);
    const faults: string[] = [];
    bus.faults.subscribe(({ message }) => faults.push(message));

    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));

    expect(log).toEqual(["new", "old"]);
    expect(faults).toEqual([expect.stringMatching(/acme-npu threw.*boom/)]);
  });

  it("does not harm the work of another that called the bus", () => {
    const { bus, mms } = machine(V6_4, { mms: 2 });
    const log: string[] = [];
    const faults: string[] = [];
    bus.faults.subscribe(({ subscriber }) => faults.push(subscriber));
    bus
      .notifications(mms[0]!.id)
      .named("outer")
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield* bus.invalidateRangeStart(range(mms[1]!.id));
          yield step("after", () => log.push("after"));
        }),
      );
    bus
      .notifications(mms[1]!.id)
      .named("inner")
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield step("bad", () => {
            throw new Error("boom");
          });
        }),
      );

    new Scheduler().run(bus.invalidateRangeStart(range(mms[0]!.id)));

    expect(log).toEqual(["after"]);
    expect(faults).toEqual(["inner"]);
  });

  it("may catch the error of its own step", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    bus
      .notifications(mm.id)
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          try {
            yield step("bad", () => {
              throw new Error("boom");
            });
          } catch (error) {
            yield step("mend", () => log.push((error as Error).message));
          }
        }),
      );

    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));

    expect(log).toEqual(["boom"]);
  });

  it("ends its subscription when one of its operators throws, as RxJS has it", () => {
    const { bus, mm } = machine();
    const faults: string[] = [];
    const errors: unknown[] = [];
    bus.faults.subscribe(({ message }) => faults.push(message));
    bus
      .notifications(mm.id)
      .named("mapper")
      .pipe(
        phases("start"),
        map(() => {
          throw new Error("boom");
        }),
      )
      .subscribe({ error: (error: unknown) => errors.push(error) });
    const scheduler = new Scheduler();

    scheduler.run(bus.invalidateRangeStart(range(mm.id)));
    scheduler.run(bus.invalidateRangeStart(range(mm.id)));

    expect(faults).toEqual([expect.stringMatching(/mapper threw.*boom/)]);
    expect(errors).toHaveLength(1);
  });

  it("is named by the observer, the stream, the function, or its number", () => {
    const { bus, mm } = machine();
    const names: string[] = [];
    bus.faults.subscribe(({ subscriber }) => names.push(subscriber));
    const stream = bus.notifications(mm.id).narrow(0x1ff);
    const bad = (): never => {
      throw new Error("no");
    };
    stream.subscribe({ name: "from the observer", next: bad });
    stream.named("from the stream").subscribe({ next: bad });
    stream.subscribe(bad);
    stream.subscribe({ next: bad });

    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));

    expect(names).toEqual(["subscriber 4", "bad", "from the stream", "from the observer"]);
  });

  it("methods of a notification are refused after the bus has gone on", () => {
    const { bus, mm } = machine();
    const kept: MmuNotification[] = [];
    bus.notifications(mm.id).subscribe((n) => kept.push(n));

    new Scheduler().run(bus.invalidateRangeStart(range(mm.id)));

    expect(() =>
      kept[0]!.waitUntil(function* () {
        yield step("late", () => 0);
      }),
    ).toThrow(/gone on/);
    expect(kept[0]).toMatchObject({ start: 0x1000, end: 0x3000, event: "MMU_NOTIFY_UNMAP", owner: 0, pte: undefined });
  });
});

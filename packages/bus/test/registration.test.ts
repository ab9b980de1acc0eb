import {
  type Memory,
  mutexLock,
  mutexUnlock,
  downRead,
  downWrite,
  type Path,
  Scheduler,
  step,
  upRead,
  upWrite,
  waitFor,
} from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BusError,
  EINTR,
  EINVAL,
  ENOMEM,
  EOVERFLOW,
  interestInPhases,
  type MmuNotifierRange,
  type NotificationPhase,
  type NotifierBus,
  type NotifierOps,
  phases,
} from "@mmu-notifier/bus";
import { choices, explore, interleave } from "./interleave.js";
import { machine, testLock, V6_12, V6_4 } from "./test-mm.js";

const unmap = (mm: number): MmuNotifierRange => ({ mm, start: 0x1000, end: 0x3000, event: "MMU_NOTIFY_UNMAP" });

/** Ops that write down what they are told. */
function opsOf(log: string[], name = "driver", wanted: NotificationPhase[] = ["start", "end", "release"]): NotifierOps {
  return {
    name,
    interest: interestInPhases(wanted),
    next: (n, subscription) => log.push(`${name}${subscription} ${n.phase}`),
  };
}

function segmentOf(memory: Memory, name: string): { readonly i32: Int32Array; readonly stride: number } {
  return memory.segments.find((segment) => segment.name === name)!;
}

describe("mmu_notifier_register", () => {
  it("takes mmap_lock for writing", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    const labels: string[] = [];
    const scheduler = new Scheduler();
    scheduler.observe((_task, { label }) => labels.push(label));

    expect(scheduler.run(bus.register(subscription, mm.id))).toBe(0);

    expect(labels[0]).toBe("down_write(mmap_lock of mm1)");
    expect(labels.at(-1)).toBe("up_write(mmap_lock of mm1)");
    expect(labels).toContain("mm_take_all_locks");
  });

  it("__mmu_notifier_register wants mmap_lock held for writing", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));

    expect(() => new Scheduler().run(bus.registerLocked(subscription, mm.id))).toThrow(/not held for writing/);
  });

  it("is a BUG when mm_users is 0", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    mm.putUser();

    expect(() => new Scheduler().run(bus.register(subscription, mm.id))).toThrow(BusError);
  });

  it("mm_has_notifiers becomes true with the first registration and stays so for the mm's life", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    const scheduler = new Scheduler();

    expect(bus.hasNotifiers(mm.id)).toBe(false);
    scheduler.run(bus.register(subscription, mm.id));
    scheduler.run(bus.unregister(subscription, mm.id));

    expect(bus.hasNotifiers(mm.id)).toBe(true);
  });

  it("grabs the mm, and unregister drops it", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    const scheduler = new Scheduler();

    scheduler.run(bus.register(subscription, mm.id));
    expect(mm.count()).toBe(2);
    scheduler.run(bus.unregister(subscription, mm.id));

    expect(mm.count()).toBe(1);
    expect(mm.allLocksHeld).toBe(false);
  });

  it("adds at the head of the list", () => {
    const log: string[] = [];
    const { bus, mm } = machine();
    const ops = bus.defineOps(opsOf(log));
    const scheduler = new Scheduler();

    for (let i = 0; i < 3; i++) scheduler.run(bus.register(bus.allocSubscription(ops), mm.id));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["driver3 start", "driver2 start", "driver1 start"]);
  });

  it("returns -EINTR when mm_take_all_locks saw a signal, and leaves nothing behind", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    mm.signal();

    expect(new Scheduler().run(bus.register(subscription, mm.id))).toBe(-EINTR);

    expect(bus.hasNotifiers(mm.id)).toBe(false);
    expect(mm.count()).toBe(1);
  });

  it("returns -ENOMEM when the first registration finds no memory", () => {
    const { bus, mm } = machine(V6_4, {
      *kzalloc() {
        return yield step("kzalloc", () => -ENOMEM);
      },
    });
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));

    expect(new Scheduler().run(bus.register(subscription, mm.id))).toBe(-ENOMEM);
  });

  it("from v6.6 on, returns -EINVAL with a WARN for a subscription that has the hook and start or end", () => {
    const mixed: NotificationPhase[] = ["start", "invalidate-range", "arch-invalidate-secondary-tlbs"];
    const before = machine(V6_4);
    const after = machine(V6_12);
    const codes: string[] = [];
    after.bus.warnings.subscribe(({ code }) => codes.push(code));
    const register = ({ bus, mm }: typeof after): number =>
      new Scheduler().run(bus.register(bus.allocSubscription(bus.defineOps(opsOf([], "mixed", mixed))), mm.id));

    expect(register(before)).toBe(0);
    expect(register(after)).toBe(-EINVAL);

    expect(codes).toEqual(["WARN_MIXED_OPS"]);
  });

  it("a subscriber never sees an end without its start because of registration", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { bus, mm } = machine();
        const log: string[] = [];
        const subscription = bus.allocSubscription(bus.defineOps(opsOf(log, "", ["start", "end"])));
        function* invalidate(): Path {
          for (let i = 0; i < 3; i++) {
            yield downRead(mm.mmapLock);
            yield* bus.invalidateRangeStart(unmap(mm.id));
            yield* bus.invalidateRangeEnd(unmap(mm.id));
            yield upRead(mm.mmapLock);
          }
        }

        const { stuck } = interleave(
          [
            { name: "mm", run: invalidate },
            { name: "driver", run: () => bus.register(subscription, mm.id) },
          ],
          choices(seed),
        );

        expect(stuck).toEqual([]);
        expect(log.length % 2).toBe(0);
        expect(log[0] ?? "1 start").toBe("1 start");
      }),
    );
  });
});

describe("mmu_notifier_get and mmu_notifier_put", () => {
  it("get returns the mm's subscription of the same ops and counts its users", () => {
    const { bus, mm } = machine();
    const ops = bus.defineOps(opsOf([]));
    const other = bus.defineOps(opsOf([]));
    const scheduler = new Scheduler();

    const first = scheduler.run(bus.get(ops, mm.id));
    const again = scheduler.run(bus.get(ops, mm.id));
    const different = scheduler.run(bus.get(other, mm.id));

    expect(again).toBe(first);
    expect(different).not.toBe(first);
    expect(mm.count()).toBe(3);
  });

  it("get returns -EOVERFLOW at UINT_MAX users", () => {
    const { bus, mm, memory } = machine();
    const ops = bus.defineOps(opsOf([]));
    const scheduler = new Scheduler();
    const subscription = scheduler.run(bus.get(ops, mm.id));
    const rows = segmentOf(memory, "mmu_notifier");
    rows.i32[subscription * rows.stride + 4] = -1;

    expect(scheduler.run(bus.get(ops, mm.id))).toBe(-EOVERFLOW);
  });

  it("get uses alloc_notifier and returns its error", () => {
    const { bus, mm } = machine();
    const failing = bus.defineOps({
      ...opsOf([]),
      *allocNotifier() {
        return yield step("alloc", () => -ENOMEM);
      },
    });

    expect(new Scheduler().run(bus.get(failing, mm.id))).toBe(-ENOMEM);
  });

  it("get frees what alloc_notifier made when registration fails", () => {
    const { bus, mm } = machine();
    const freed: number[] = [];
    const ops = bus.defineOps({
      ...opsOf([]),
      *freeNotifier(subscription) {
        yield step("free", () => freed.push(subscription));
      },
    });
    mm.signal();

    expect(new Scheduler().run(bus.get(ops, mm.id))).toBe(-EINTR);

    expect(freed).toEqual([1]);
    expect(bus.allocSubscription(ops)).toBe(1);
  });

  it("the last put unhashes, then free_notifier runs after a grace period, then the mm is dropped; release is not called", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const ops = bus.defineOps({
      ...opsOf(log),
      *freeNotifier(subscription) {
        yield step("free", () => log.push(`free ${subscription}`));
      },
    });
    const scheduler = new Scheduler();
    const subscription = scheduler.run(bus.get(ops, mm.id));
    scheduler.run(bus.get(ops, mm.id));

    scheduler.run(bus.put(subscription));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
    scheduler.run(bus.put(subscription));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
    expect(log).toEqual(["driver1 start"]);
    expect(mm.count()).toBe(2);
    scheduler.run(bus.synchronize());

    expect(log).toEqual(["driver1 start", "free 1"]);
    expect(mm.count()).toBe(1);
  });

  it("a task of its own may run the callbacks of put", () => {
    const { bus, mm } = machine();
    const ops = bus.defineOps(opsOf([]));
    const scheduler = new Scheduler();
    scheduler.spawn("rcu", () => bus.runSrcuCallback(), { again: true });

    scheduler.run(bus.put(scheduler.run(bus.get(ops, mm.id))));
    scheduler.settle();

    expect(mm.count()).toBe(1);
  });

  it("put warns when there are no users", () => {
    const { bus, mm } = machine();
    const codes: string[] = [];
    bus.warnings.subscribe(({ code }) => codes.push(code));
    const scheduler = new Scheduler();
    const subscription = scheduler.run(bus.get(bus.defineOps(opsOf([])), mm.id));

    scheduler.run(bus.put(subscription));
    scheduler.run(bus.put(subscription));

    expect(codes).toEqual(["WARN_PUT_WITHOUT_USERS"]);
  });

  it("put is legal from release", () => {
    const { bus, mm } = machine();
    const ops = bus.defineOps({
      name: "putter",
      interest: interestInPhases(["release"]),
      next: (n, subscription) => n.waitUntil(() => bus.put(subscription)),
    });
    const scheduler = new Scheduler();
    scheduler.run(bus.get(ops, mm.id));

    scheduler.run(bus.release(mm.id));
    scheduler.run(bus.synchronize());

    expect(mm.count()).toBe(1);
  });

  it("free_notifier must not sleep", () => {
    const { bus, mm, memory } = machine();
    const lock = testLock(memory, "driver lock", "mutex");
    const ops = bus.defineOps({
      ...opsOf([]),
      *freeNotifier() {
        yield mutexLock(lock);
        yield mutexUnlock(lock);
      },
    });
    const scheduler = new Scheduler();
    scheduler.run(bus.put(scheduler.run(bus.get(ops, mm.id))));

    expect(() => scheduler.run(bus.synchronize())).toThrow(/invalid context/);
  });

  it("a reader that stands on a subscription is waited for before it is freed", () => {
    const { states, found } = explore(
      () => {
        const { bus, mm, memory } = machine();
        const scenario = { inside: false, freedInside: false };
        const ops = bus.defineOps({
          name: "driver",
          interest: interestInPhases(["start"]),
          next: (n) =>
            n.waitUntil(function* () {
              yield step("in", () => ((scenario.inside = true), 0));
              yield step("out", () => ((scenario.inside = false), 0));
            }),
          *freeNotifier() {
            yield step("free", () => {
              scenario.freedInside ||= scenario.inside;
              return 0;
            });
          },
        });
        const subscription = new Scheduler().run(bus.get(ops, mm.id));
        function* putAndWait(): Path {
          yield* bus.put(subscription);
          yield* bus.synchronize();
        }
        return {
          memory,
          scenario,
          threads: [
            { name: "mm", run: () => bus.invalidateRangeStart(unmap(mm.id)) },
            { name: "driver", run: putAndWait },
          ],
        };
      },
      ({ run }, scenario) => scenario.freedInside || (run.runnable.length === 0 && !run.finished),
    );

    expect(found).toBeUndefined();
    expect(states).toBeGreaterThan(30);
  });
});

describe("mmu_notifier_unregister", () => {
  it("calls release, unhashes and waits for a grace period", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const subscription = bus.allocSubscription(bus.defineOps(opsOf(log)));
    const scheduler = new Scheduler();
    scheduler.run(bus.register(subscription, mm.id));

    scheduler.run(bus.unregister(subscription, mm.id));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["driver1 release"]);
    bus.freeSubscription(subscription);
  });

  it("calls release of the one that leaves and of nobody else", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const ops = bus.defineOps({
      name: "driver",
      interest: interestInPhases(["release"]),
      next: (n, subscription) =>
        n.waitUntil(function* () {
          yield step("release", () => log.push(`release ${subscription}`));
        }),
    });
    const scheduler = new Scheduler();
    for (let i = 0; i < 3; i++) scheduler.run(bus.register(bus.allocSubscription(ops), mm.id));

    scheduler.run(bus.unregister(3, mm.id));

    expect(log).toEqual(["release 3"]);
  });

  it("does not call release again after exit did", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const subscription = bus.allocSubscription(bus.defineOps(opsOf(log)));
    const scheduler = new Scheduler();
    scheduler.run(bus.register(subscription, mm.id));

    scheduler.run(bus.release(mm.id));
    scheduler.run(bus.unregister(subscription, mm.id));

    expect(log).toEqual(["driver1 release"]);
  });

  it("may run release a second time, concurrently with exit", () => {
    const { found } = explore(
      () => {
        const { bus, mm, memory } = machine();
        const scenario = { inside: 0, most: 0 };
        const subscription = bus.allocSubscription(
          bus.defineOps({
            name: "driver",
            interest: interestInPhases(["release"]),
            next: (n) =>
              n.waitUntil(function* () {
                yield step("release begins", () => (scenario.most = Math.max(scenario.most, ++scenario.inside)));
                yield step("release ends", () => --scenario.inside);
              }),
          }),
        );
        new Scheduler().run(bus.register(subscription, mm.id));
        return {
          memory,
          scenario,
          threads: [
            { name: "exit", run: () => bus.release(mm.id) },
            { name: "driver", run: () => bus.unregister(subscription, mm.id) },
          ],
        };
      },
      (_state, scenario) => scenario.most === 2,
    );

    expect(found).toBeDefined();
  });

  it("can miss the end of a start that it saw", () => {
    const build = () => {
      const { bus, mm, memory } = machine();
      const log: string[] = [];
      const subscription = bus.allocSubscription(bus.defineOps(opsOf(log, "", ["start", "end"])));
      new Scheduler().run(bus.register(subscription, mm.id));
      function* invalidate(): Path {
        yield* bus.invalidateRangeStart(unmap(mm.id));
        yield* bus.invalidateRangeEnd(unmap(mm.id));
      }
      return {
        memory,
        scenario: log,
        threads: [
          { name: "mm", run: invalidate },
          { name: "driver", run: () => bus.unregister(subscription, mm.id) },
        ],
      };
    };

    const { found } = explore(build, ({ run }, log) => run.finished && log.join() === "1 start");

    expect(found).toBeDefined();
  });

  it("is a BUG when the subscription holds no reference", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    const scheduler = new Scheduler();
    scheduler.run(bus.register(subscription, mm.id));
    scheduler.run(bus.unregister(subscription, mm.id));

    expect(() => scheduler.run(bus.unregister(subscription, mm.id))).toThrow(/kernel BUG/);
  });

  it("a subscription that is registered cannot be freed", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    new Scheduler().run(bus.register(subscription, mm.id));

    expect(() => bus.freeSubscription(subscription)).toThrow(/while it is registered/);
    expect(() => bus.freeSubscription(99)).toThrow(/not allocated/);
  });
});

describe("one SRCU domain", () => {
  it("synchronize waits for callbacks of other mms too", () => {
    const { bus, mms, memory } = machine(V6_4, { mms: 2 });
    const segment = memory.segment("test", 4, 1);
    const gate = segment.alloc() * 4 + 1;
    bus
      .notifications(mms[0]!.id)
      .pipe(phases("start"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield waitFor("gate", () => segment.i32[gate] !== 0);
        }),
      );
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    const scheduler = new Scheduler();
    scheduler.run(bus.register(subscription, mms[1]!.id));
    const order: string[] = [];
    function* open(): Path {
      yield step("open", () => {
        order.push("opened");
        return (segment.i32[gate] = 1);
      });
    }
    function* leave(): Path {
      yield* bus.unregister(subscription, mms[1]!.id);
      yield step("left", () => order.push("left"));
    }

    // The reader enters first; the gate opens last.
    const { stuck } = interleave(
      [
        { name: "reader", run: () => bus.invalidateRangeStart(unmap(mms[0]!.id)) },
        { name: "driver", run: leave },
        { name: "opener", run: open },
      ],
      () => 0,
    );

    expect(stuck).toEqual([]);
    expect(order).toEqual(["opened", "left"]);
  });
});

describe("the end of an mm", () => {
  it("exit calls release of everybody, newest first, then unhashes all", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const ops = bus.defineOps(opsOf(log));
    const scheduler = new Scheduler();
    for (let i = 0; i < 2; i++) scheduler.run(bus.register(bus.allocSubscription(ops), mm.id));

    scheduler.run(bus.release(mm.id));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["driver2 release", "driver1 release"]);
  });

  it("release does nothing for an mm that has no notifiers", () => {
    const { bus, mm } = machine();

    new Scheduler().run(bus.release(mm.id));

    expect(bus.hasNotifiers(mm.id)).toBe(false);
  });

  it("the structure is freed at the final mmdrop", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    const scheduler = new Scheduler();
    scheduler.run(bus.register(subscription, mm.id));
    scheduler.run(bus.release(mm.id));
    mm.drop();
    expect(bus.hasNotifiers(mm.id)).toBe(true);

    scheduler.run(bus.unregister(subscription, mm.id));

    expect(bus.hasNotifiers(mm.id)).toBe(false);
    expect(() => scheduler.run(bus.unregister(subscription, mm.id))).toThrow(/kernel BUG/);
  });

  it("freeing an mm with subscriptions on its list is a BUG", () => {
    const { bus, mm } = machine();
    bus.notifications(mm.id).subscribe(() => undefined);

    expect(() => bus.forget(mm.id)).toThrow(/kernel BUG at __mmu_notifier_subscriptions_destroy/);
  });

  it("an mm that was never attached is unknown", () => {
    const { bus } = machine();

    expect(() => bus.notifications(99).subscribe(() => undefined)).toThrow(/not known to the bus/);
  });

  it("a walker goes on behind a subscription that was unhashed while its work ran", () => {
    const log: string[] = [];
    const { bus, mm } = machine(V6_12);
    const ops: NotifierOps = opsOf(log, "driver", ["start"]);
    const scheduler = new Scheduler();
    const rows = Array.from({ length: 3 }, () => bus.allocSubscription(bus.defineOps(ops)));
    for (const row of rows.slice(0, 2)) scheduler.run(bus.register(row, mm.id));
    const leaver: NotifierBus = bus;
    const self = leaver.allocSubscription(
      leaver.defineOps({
        name: "leaver",
        interest: interestInPhases(["start"]),
        next: (n, subscription) => {
          log.push("leaver start");
          n.waitUntil(() => bus.put(subscription));
        },
      }),
    );
    scheduler.run(bus.register(self, mm.id));

    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));
    scheduler.run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["leaver start", "driver2 start", "driver1 start", "driver2 start", "driver1 start"]);
  });

  it("registerLocked works under the caller's mmap_lock", () => {
    const { bus, mm } = machine();
    const subscription = bus.allocSubscription(bus.defineOps(opsOf([])));
    function* locked(): Path<number> {
      yield downWrite(mm.mmapLock);
      const error = yield* bus.registerLocked(subscription, mm.id);
      yield upWrite(mm.mmapLock);
      return error;
    }

    expect(new Scheduler().run(locked())).toBe(0);
  });
});

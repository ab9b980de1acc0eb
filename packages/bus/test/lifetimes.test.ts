import { downRead, mightSleep, type Path, Scheduler, step, upRead } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  BusError,
  interestInPhases,
  type MmuNotification,
  type MmuNotifierRange,
  type NotifierBus,
  phases,
} from "@mmu-notifier/bus";
import { explore, type Thread } from "./interleave.js";
import { machine, V6_4 } from "./test-mm.js";

const unmap = (mm: number): MmuNotifierRange => ({ mm, start: 0, end: 4096, event: "MMU_NOTIFY_UNMAP" });
const run = <R>(path: Path<R>): R => new Scheduler().run(path);

/** A subscription whose `release` takes two steps; `busy` counts those that are inside. */
function slowRelease(bus: NotifierBus, mm: number, busy: { inside: number }): number {
  const ops = bus.defineOps({
    name: "slow",
    interest: interestInPhases(["release"]),
    next: (n) =>
      n.waitUntil(function* () {
        yield step("begins", () => ++busy.inside);
        yield step("ends", () => --busy.inside);
      }),
  });
  const subscription = bus.allocSubscription(ops);
  run(bus.register(subscription, mm));
  return subscription;
}

describe("grace periods", () => {
  it.each(["exit", "unregister"] as const)("%s returns when no release runs any more, whoever called it", (who) => {
    const { states, found } = explore(
      () => {
        const { bus, mm, memory } = machine();
        const scenario = { inside: 0, returnedInside: false };
        const subscription = slowRelease(bus, mm.id, scenario);
        const paths = { exit: () => bus.release(mm.id), unregister: () => bus.unregister(subscription, mm.id) };
        function* watched(): Path {
          yield* paths[who]();
          yield step("returned", () => {
            scenario.returnedInside = scenario.inside > 0;
            return 0;
          });
        }
        const other = who === "exit" ? paths.unregister : paths.exit;
        return {
          memory,
          scenario,
          threads: [
            { name: who, run: watched },
            { name: "other", run: other },
          ],
        };
      },
      ({ run: state }, { returnedInside }) => returnedInside || (state.runnable.length === 0 && !state.finished),
    );

    expect(found).toBeUndefined();
    expect(states).toBeGreaterThan(20);
  });

  it.each(["synchronize", "a task of its own"] as const)(
    "what was put is freed after its readers have left: %s",
    (how) => {
      const { found } = explore(
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
          const subscription = run(bus.get(ops, mm.id));
          function* put(): Path {
            yield* bus.put(subscription);
            if (how === "synchronize") yield* bus.synchronize();
          }
          const threads: Thread[] = [
            { name: "mm", run: () => bus.invalidateRangeStart(unmap(mm.id)) },
            { name: "driver", run: put },
          ];
          if (how !== "synchronize") threads.push({ name: "srcu", run: () => bus.runSrcuCallback() });
          return { memory, scenario, threads };
        },
        (_state, { freedInside }) => freedInside,
      );

      expect(found).toBeUndefined();
    },
  );

  it("synchronize waits for readers also when nothing was put", () => {
    const { found } = explore(
      () => {
        const { bus, mm, memory } = machine();
        const scenario = { inside: false, wrong: false };
        bus
          .notifications(mm.id)
          .pipe(phases("start"))
          .subscribe((n) =>
            n.waitUntil(function* () {
              yield step("in", () => ((scenario.inside = true), 0));
              yield step("out", () => ((scenario.inside = false), 0));
            }),
          );
        let began = false;
        function* synchronize(): Path {
          yield step("begins", () => ((began = scenario.inside), 0));
          yield* bus.synchronize();
          yield step("returned", () => ((scenario.wrong = began && scenario.inside), 0));
        }
        return {
          memory,
          scenario,
          threads: [
            { name: "mm", run: () => bus.invalidateRangeStart(unmap(mm.id)) },
            { name: "driver", run: synchronize },
          ],
        };
      },
      (_state, { wrong }) => wrong,
    );

    expect(found).toBeUndefined();
  });

  it("everything that was put is freed, in whatever number, with its mm, and the caller may sleep again", () => {
    const { bus, mms } = machine(V6_4, { mms: 3 });
    const freed: number[] = [];
    const ops = bus.defineOps({
      name: "driver",
      interest: interestInPhases(["start"]),
      next: () => undefined,
      *freeNotifier(subscription) {
        yield step("free", () => freed.push(subscription));
      },
    });
    const subscriptions = mms.map(({ id }) => run(bus.get(ops, id)));
    for (const subscription of subscriptions) run(bus.put(subscription));
    function* wait(): Path {
      yield* bus.synchronize();
      yield mightSleep("the driver");
    }
    run(wait());

    expect(freed.toSorted((a, b) => a - b)).toEqual(subscriptions);
    expect(mms.map((mm) => mm.count())).toEqual([1, 1, 1]);
    for (const [index, subscription] of subscriptions.entries())
      for (const use of [
        () => bus.freeSubscription(subscription),
        () => run(bus.put(subscription)),
        () => run(bus.unregister(subscription, mms[index]!.id)),
        () => run(bus.register(subscription, mms[index]!.id)),
      ])
        expect(use).toThrow(BusError);
  });
});

describe("leaving while somebody reads", () => {
  it("a row that a reader stands on is not given away", () => {
    const { bus, mm } = machine();
    const log: string[] = [];
    const join = (name: string, more: (n: MmuNotification) => void = () => undefined) =>
      bus
        .notifications(mm.id)
        .pipe(phases("start"))
        .subscribe((n) => {
          log.push(name);
          more(n);
        });
    join("old");
    const leaving = join("leaving", (n) =>
      n.waitUntil(function* () {
        yield step("leave, and somebody else comes", () => {
          leaving.unsubscribe();
          join("late");
          return 0;
        });
      }),
    );
    join("new");
    run(bus.invalidateRangeStart(unmap(mm.id)));

    expect(log).toEqual(["new", "leaving", "old"]);
    log.length = 0;
    run(bus.invalidateRangeStart(unmap(mm.id)));
    expect(log).toEqual(["late", "new", "old"]);
  });

  it("an unregister of kernels before d34883d4e35c takes the subscription off the list before it calls release", () => {
    for (const unregisterUnhashesFirst of [true, false]) {
      const { bus, mm } = machine({ ...V6_4, unregisterUnhashesFirst });
      const busy = { inside: 0 };
      const subscription = slowRelease(bus, mm.id, busy);
      const labels: string[] = [];
      const scheduler = new Scheduler();
      scheduler.observe((_task, { label }) => labels.push(label));
      scheduler.run(bus.unregister(subscription, mm.id));

      const [unhash, begins, unlock] = ["hlist_del_init_rcu", "begins", "srcu_read_unlock(mmu_notifier)"].map((label) =>
        labels.indexOf(label),
      );
      expect(unhash! < begins!).toBe(unregisterUnhashesFirst);
      expect(labels.filter((label) => label === "hlist_del_init_rcu")).toHaveLength(1);
      expect(unlock).toBeGreaterThan(labels.indexOf("ends"));
    }
  });
});

describe("registration in passing", () => {
  it("get_locked wants the lock also when it finds what there is, and knows it by ops and mm", () => {
    const { bus, mms } = machine(V6_4, { mms: 2 });
    const [a, b] = mms;
    const kinds = ["one", "two"].map((name) =>
      bus.defineOps({ name, interest: interestInPhases(["start"]), next: () => undefined }),
    );
    const got = [a!, b!].flatMap(({ id }) => kinds.map((kind) => run(bus.get(kind, id))));
    expect(new Set(got).size).toBe(4);
    expect([a!, b!].flatMap(({ id }) => kinds.map((kind) => run(bus.get(kind, id))))).toEqual(got);
    expect(() => run(bus.getLocked(kinds[0]!, a!.id))).toThrow(/not held for writing/);
    function* reading(): Path<number> {
      yield downRead(a!.mmapLock);
      const subscription = yield* bus.getLocked(kinds[0]!, a!.id);
      yield upRead(a!.mmapLock);
      return subscription;
    }
    expect(() => run(reading())).toThrow(/not held for writing/);
  });

  it("release is told to intervals inside a window of its own: odd while they are asked, even after", () => {
    const { bus, mm, memory } = machine();
    const seen: number[] = [];
    const seq = (): number => {
      const { i32, stride } = memory.segments.find(({ name }) => name === "mmu_notifier_subscriptions")!;
      return i32[stride + 3]!;
    };
    const ops = bus.defineIntervalOps({
      name: "i",
      *invalidate() {
        yield step("asked", () => seen.push(seq()));
        return true;
      },
    });
    run(bus.intervalInsert(bus.allocInterval(ops), mm.id, 0, 4096));
    bus
      .notifications(mm.id)
      .pipe(phases("release"))
      .subscribe((n) =>
        n.waitUntil(function* () {
          yield step("told", () => seen.push(seq()));
        }),
      );
    run(bus.release(mm.id));

    expect(seen).toEqual([3, 4]);
  });

  it("an mm whose number is used again begins without subscriptions", () => {
    const { bus, mm } = machine();
    bus
      .notifications(mm.id)
      .subscribe(() => undefined)
      .unsubscribe();
    bus.forget(mm.id);
    bus.attach(mm);

    expect(bus.hasNotifiers(mm.id)).toBe(false);
    run(bus.invalidateRangeStart(unmap(mm.id)));
  });
});

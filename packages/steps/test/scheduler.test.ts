import {
  call,
  DeadlockError,
  lockAt,
  lockClass,
  Memory,
  mutexLock,
  mutexUnlock,
  nextStep,
  nextStepAfterThrow,
  type Path,
  Scheduler,
  spinUntil,
  Srcu,
  step,
  waitEvent,
  waitFor,
  waitQueueAt,
  wakeUpAll,
} from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";

describe("Scheduler.run", () => {
  it("hands each step's result back to the path and returns what the path returns", () => {
    function* path(): Path<number> {
      const a = yield step("a", () => 20);
      const b = yield step("b", () => a + 1);
      return a + b;
    }

    expect(new Scheduler().run(path())).toBe(41);
  });

  it("takes the steps of called functions in the same order whether or not somebody observes", () => {
    const log: string[] = [];
    function* inner(): Path<number> {
      return (yield step("b", () => log.push("b"))) * 10;
    }
    function* outer(): Path<number> {
      yield step("a", () => log.push("a"));
      const result = yield* call("inner", inner());
      yield step("c", () => log.push("c"));
      return result;
    }
    const observed = new Scheduler();
    const seen: string[] = [];
    observed.observe((_task, { label }) => seen.push(label));

    expect([new Scheduler().run(outer()), observed.run(outer())]).toEqual([20, 50]);

    expect(log).toEqual(["a", "b", "c", "a", "b", "c"]);
    expect(seen).toEqual(["a", "inner", "b", "leave", "c"]);
  });

  it("shows each step of a called function to a path that takes another's steps on with nextStep", () => {
    const labels: string[] = [];
    function* inner(): Path<number> {
      return yield step("b", () => 2);
    }
    function* watching<R>(path: Path<R>): Path<R> {
      let next = nextStep(path, 0);
      while (next.done !== true) {
        labels.push(next.value.label);
        next = nextStep(path, yield next.value);
      }
      return next.value;
    }

    const result = new Scheduler().run(call("outer", watching(call("inner", inner()))));

    expect(result).toBe(2);
    expect(labels).toEqual(["inner", "b", "leave"]);
  });

  it("tells a path that a step of another's threw with nextStepAfterThrow", () => {
    function* failing(): Path<string> {
      try {
        yield step("fails", () => 0);
      } catch (error) {
        yield* call("cleanup", cleanup());
        return String(error);
      }
      return "nothing";
    }
    function* cleanup(): Path {
      yield step("free", () => 0);
    }
    function* watching(): Path<readonly string[]> {
      const path = failing();
      const labels = [(nextStep(path, 0).value as { label: string }).label];
      let next = nextStepAfterThrow(path, "broken");
      while (next.done !== true) {
        labels.push(next.value.label);
        next = nextStep(path, yield next.value);
      }
      return [...labels, next.value];
    }

    expect(new Scheduler().run(watching())).toEqual(["fails", "cleanup", "free", "leave", "broken"]);
  });

  it("gives the tasks that move while it waits one step at a time", () => {
    const scheduler = new Scheduler();
    const segment = new Memory().segment("queue", 4, 1);
    const at = segment.alloc() * 4 + 1;
    function* count(): Path {
      for (let i = 0; i < 3; i++) yield step("count", () => ++segment.i32[at]!);
    }
    scheduler.spawn("counter", () => call("counter", count()));
    function* waiting(): Path<number> {
      return yield waitFor(
        "one",
        () => segment.i32[at]! > 0,
        () => segment.i32[at]!,
      );
    }

    expect(scheduler.run(call("waiting", waiting()))).toBe(1);
  });

  it("lets hardware tasks move while a step waits, and only then", () => {
    const scheduler = new Scheduler();
    const segment = new Memory().segment("queue", 4, 1);
    const at = segment.alloc() * 4 + 1;
    const log: string[] = [];
    scheduler.spawn(
      "smmu",
      function* (): Path {
        yield waitFor(
          "consume",
          () => segment.i32[at]! > 0,
          () => {
            log.push("consumed");
            return --segment.i32[at]!;
          },
        );
      },
      { again: true },
    );
    function* push(): Path {
      for (let i = 0; i < 2; i++) yield step("push", () => segment.i32[at]!++);
      log.push("pushed");
      yield spinUntil("CMD_SYNC", () => segment.i32[at] === 0);
      log.push("synced");
    }

    scheduler.run(push());

    expect(log).toEqual(["pushed", "consumed", "consumed", "synced"]);
  });

  it("reports a deadlock with every waiter, its path and the holder", () => {
    const scheduler = new Scheduler();
    const segment = new Memory().segment("locks", 4, 1);
    const row = segment.alloc() * 4;
    const a = lockAt(lockClass("a", "mutex"), segment, row + 1);
    const b = lockAt(lockClass("b", "mutex"), segment, row + 2);
    scheduler.spawn("other", () => call("other_fn", holdsBThenWaits()));
    function* holdsBThenWaits(): Path {
      yield mutexLock(b);
      yield waitFor("a reply that never comes", () => false);
      yield mutexUnlock(b);
    }
    function* main(): Path {
      yield mutexLock(a);
      yield waitFor("other to start", () => segment.i32[row + 2] !== 0);
      yield mutexLock(b);
    }

    let error: unknown;
    try {
      scheduler.run(call("main_fn", main()), "main");
    } catch (caught) {
      error = caught;
    }

    expect(error).toBeInstanceOf(DeadlockError);
    expect((error as Error).message).toBe(
      "deadlock: main waits in main_fn for mutex_lock(b), held by other; other waits in other_fn for a reply that never comes",
    );
  });

  it("shows every step to the observer with the functions it is in", () => {
    const scheduler = new Scheduler();
    const seen: string[] = [];
    scheduler.observe((task, { label }) => seen.push(`${task.context.path}: ${label}`));
    function* inner(): Path {
      yield step("pte store", () => 0);
    }

    scheduler.run(call("handle_mm_fault", call("do_wp_page", inner())));

    expect(seen).toContain("handle_mm_fault -> do_wp_page: pte store");
  });
});

describe("waitEvent", () => {
  it("notices a wake-up with the condition and misses a condition without one", () => {
    const segment = new Memory().segment("wq", 4, 1);
    const row = segment.alloc() * 4;
    const queue = waitQueueAt("mn wq", segment, row + 1);
    const run = (wakes: boolean): void => {
      const scheduler = new Scheduler();
      segment.i32[row + 1] = segment.i32[row + 2] = 0;
      scheduler.spawn("waker", function* (): Path {
        yield step("set", () => {
          segment.i32[row + 2] = 1;
          if (wakes) wakeUpAll(queue);
          return 0;
        });
      });
      scheduler.run(waitEvent(queue, () => segment.i32[row + 2] === 1));
    };

    run(true);

    expect(() => run(false)).toThrow(DeadlockError);
  });
});

describe("Srcu", () => {
  it("waits for the readers that were inside, not for later ones", () => {
    const scheduler = new Scheduler();
    const srcu = new Srcu(new Memory(), "srcu");
    const log: string[] = [];
    function* reader(name: string): Path {
      const index = yield srcu.readLock();
      log.push(`${name} in`);
      yield step("work", () => 0);
      yield srcu.readUnlock(index);
      log.push(`${name} out`);
    }
    function* path(): Path {
      const index = yield srcu.readLock();
      scheduler.spawn("sync", function* (): Path {
        yield* srcu.synchronize();
        log.push("grace period over");
      });
      scheduler.settle();
      scheduler.spawn("late", () => reader("late"));
      log.push("early leaves");
      yield srcu.readUnlock(index);
    }

    scheduler.run(path());
    scheduler.settle();

    expect(log.indexOf("grace period over")).toBeGreaterThan(log.indexOf("early leaves"));
    expect(srcu.active).toBe(false);
  });
});

import {
  call,
  ContextError,
  downgradeWrite,
  downRead,
  downReadTrylock,
  downWrite,
  type Lock,
  lockAt,
  lockClass,
  lockMapAcquire,
  lockMapRelease,
  LockOrderError,
  Memory,
  mightSleep,
  mutexLock,
  mutexUnlock,
  nonBlockEnd,
  nonBlockStart,
  type Path,
  preemptDisable,
  Scheduler,
  spinLock,
  spinTrylock,
  spinUnlock,
  upRead,
  upWrite,
} from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";

const PTL = lockClass("page_table_lock", "spinlock");
const MMAP = lockClass("mmap_lock", "rwsem");
const DRIVER = lockClass("driver mutex", "mutex");
const RECLAIM = lockClass("fs_reclaim", "map");
const NOTIFIER = lockClass("mmu_notifier_invalidate_range_start", "map");

function locks(): { ptl: Lock; ptl2: Lock; mmap: Lock; driver: Lock; scheduler: Scheduler } {
  const segment = new Memory().segment("locks", 6, 1);
  const row = segment.alloc() * 6;
  return {
    ptl: lockAt(PTL, segment, row + 1, "ptl 1"),
    ptl2: lockAt(PTL, segment, row + 2, "ptl 2"),
    mmap: lockAt(MMAP, segment, row + 3),
    driver: lockAt(DRIVER, segment, row + 4),
    scheduler: new Scheduler(),
  };
}

describe("sleeping in atomic context", () => {
  it("is reported with task, kernel path, call and spinlock", () => {
    const { ptl, driver, scheduler } = locks();
    function* wpPageCopyUser(): Path {
      yield spinLock(ptl);
      yield* call("mmu_notifier_invalidate_range_start", notify());
    }
    function* notify(): Path {
      yield mutexLock(driver);
    }

    let error: unknown;
    try {
      scheduler.run(call("__wp_page_copy_user", wpPageCopyUser()), "cpu0");
    } catch (caught) {
      error = caught;
    }

    expect(error).toBeInstanceOf(ContextError);
    expect(error).toMatchObject({
      code: "SLEEP_IN_ATOMIC",
      details: { task: "cpu0", path: "__wp_page_copy_user -> mmu_notifier_invalidate_range_start", lock: "ptl 1" },
    });
    expect(String(error)).toContain("sleeping function called from invalid context");
  });

  it("counts preemption switched off", () => {
    const { scheduler } = locks();
    function* path(): Path {
      yield preemptDisable();
      yield mightSleep("copy_from_user");
    }

    expect(() => scheduler.run(path())).toThrow(/with preemption off/);
  });

  it("is forbidden in a non-blockable section but trylocks are not", () => {
    const { driver, mmap, scheduler } = locks();
    function* sleeps(): Path {
      yield nonBlockStart();
      yield mutexLock(driver);
    }
    function* tries(): Path<number> {
      yield nonBlockStart();
      const taken = yield downReadTrylock(mmap);
      yield upRead(mmap);
      yield nonBlockEnd();
      return taken;
    }

    expect(() => scheduler.run(sleeps())).toThrow(/non-blockable section/);
    expect(scheduler.run(tries())).toBe(1);
  });
});

describe("lock order", () => {
  it("names both paths when two classes are taken in both orders", () => {
    const { driver, mmap, scheduler } = locks();
    function* both(first: Lock, second: Lock): Path {
      yield downWrite(first);
      yield downWrite(second);
      yield upWrite(second);
      yield upWrite(first);
    }
    scheduler.run(call("mmu_notifier_register", both(mmap, driver)), "A");

    expect(() => scheduler.run(call("driver_ioctl", both(driver, mmap)), "B")).toThrow(
      /task B takes mmap_lock while it holds driver mutex \(in driver_ioctl\).*task A.*mmu_notifier_register/,
    );
  });

  it("finds cycles over several classes and over reclaim", () => {
    const { driver, scheduler } = locks();
    function* callback(): Path {
      yield lockMapAcquire(NOTIFIER);
      yield mutexLock(driver);
      yield mutexUnlock(driver);
      yield lockMapRelease(NOTIFIER);
    }
    function* reclaim(): Path {
      yield lockMapAcquire(RECLAIM);
      yield lockMapAcquire(NOTIFIER);
      yield lockMapRelease(NOTIFIER);
      yield lockMapRelease(RECLAIM);
    }
    function* allocatesUnderLock(): Path {
      yield mutexLock(driver);
      yield lockMapAcquire(RECLAIM);
      yield lockMapRelease(RECLAIM);
      yield mutexUnlock(driver);
    }
    scheduler.run(callback());
    scheduler.run(reclaim());

    expect(() => scheduler.run(allocatesUnderLock())).toThrow(LockOrderError);
  });

  it("lets two locks of one class nest only with a subclass", () => {
    const { ptl, ptl2, scheduler } = locks();
    function* nested(subclass: number): Path {
      yield spinLock(ptl);
      yield spinLock(ptl2, subclass);
      yield spinUnlock(ptl2);
      yield spinUnlock(ptl);
    }

    scheduler.run(nested(1));

    expect(() => scheduler.run(nested(0))).toThrow(/LOCK_RECURSION|same class/);
  });
});

describe("a task that ends", () => {
  it("may not keep a lock", () => {
    const { ptl, scheduler } = locks();
    function* path(): Path {
      yield spinLock(ptl);
    }

    expect(() => scheduler.run(path(), "cpu0")).toThrow(/task cpu0 ended while it held ptl 1/);
  });

  it("may not release what it does not hold", () => {
    const { ptl, scheduler } = locks();
    function* path(): Path {
      yield spinUnlock(ptl);
    }

    expect(() => scheduler.run(path())).toThrow(/which it does not hold/);
  });
});

describe("rwsem", () => {
  it("admits readers together, writers alone, and a downgraded writer with readers", () => {
    const { mmap, scheduler } = locks();
    const order: string[] = [];
    function* reader(name: string): Path {
      yield downRead(mmap);
      order.push(`${name} in`);
      yield upRead(mmap);
    }
    function* writer(): Path {
      yield downWrite(mmap);
      order.push("writer in");
      scheduler.spawn("late reader", () => reader("late"));
      yield downgradeWrite(mmap);
      order.push("downgraded");
      scheduler.settle();
      yield upRead(mmap);
    }
    scheduler.run(reader("early"));
    scheduler.run(writer());

    expect(order).toEqual(["early in", "writer in", "downgraded", "late in"]);
  });

  it("a trylock of a held spinlock fails and holds nothing", () => {
    const { ptl, scheduler } = locks();
    function* path(): Path<number> {
      yield spinLock(ptl);
      const taken = yield spinTrylock(ptl);
      yield spinUnlock(ptl);
      return taken;
    }

    expect(scheduler.run(path())).toBe(0);
  });
});

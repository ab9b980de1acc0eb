import { mutexLock, mutexTrylock, mutexUnlock, type Memory, type Path, Scheduler, step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isBlockable, type MmuNotifierRange } from "@mmu-notifier/bus";
import { choices, interleave, type Thread } from "./interleave.js";
import { machine, testLock, V6_4 } from "./test-mm.js";

const PAGE = 4096;

/** An invalidation that is under way, and what it did. */
interface Window {
  readonly range: MmuNotifierRange;
  /** Intervals in the tree when it started that it hits. */
  hits: readonly number[];
  readonly invalidated: number[];
  startReturned: boolean;
}

/** What the test knows about one interval. */
interface Mirror {
  readonly interval: number;
  /** insert returned and remove has not been called. */
  inserted: boolean;
  removed: boolean;
  /** Invalidations so far. */
  invalidations: number;
  /** The driver uses what it read. */
  installed: boolean;
}

interface Words {
  readonly seq: number;
  readonly active: number;
  readonly deferred: number;
  /** Rows in the tree, in order. */
  readonly tree: readonly number[];
}

function words(memory: Memory): Words {
  const heads = memory.segments.find(({ name }) => name === "mmu_notifier_subscriptions")!;
  const rows = memory.segments.find(({ name }) => name === "mmu_interval_notifier")!;
  const at = heads.stride;
  const tree: number[] = [];
  for (let row = heads.i32[at + 5]!; row !== 0; row = rows.i32[row * rows.stride + 6]!) tree.push(row);
  return { seq: heads.i32[at + 3]!, active: heads.i32[at + 4]!, deferred: heads.i32[at + 6]!, tree };
}

function seqOf(memory: Memory, interval: number): number {
  const { i32, stride } = memory.segments.find(({ name }) => name === "mmu_interval_notifier")!;
  return i32[interval * stride + 8]!;
}

interface Plan {
  readonly seed: number;
  /** [first page, pages, non-blockable] of each invalidation, by thread. */
  readonly invalidations: readonly (readonly (readonly [number, number, boolean])[])[];
  /** First page of each driver's interval of 2 pages. */
  readonly drivers: readonly number[];
  readonly seqBits: number;
  /** What the drivers do wrong. */
  readonly bug?: "no set_seq" | "no read_retry";
}

/** Several mm threads and several drivers with an interval each, checked after every step. */
function simulate(plan: Plan): void {
  const { bus, mm, memory } = machine(V6_4, { invalidateSeqBits: plan.seqBits });
  /** The open window of each mm thread. */
  const windows = new Map<number, Window>();
  const mirrors: Mirror[] = [];

  const threads: Thread[] = plan.drivers.map((first, index) => {
    const lock = testLock(memory, `user lock ${index}`, "mutex");
    const ops = bus.defineIntervalOps({
      name: `driver${index}`,
      userLock: () => lock,
      *invalidate(interval, range, curSeq) {
        if (isBlockable(range)) yield mutexLock(lock);
        else if ((yield mutexTrylock(lock)) === 0) return false;
        if (plan.bug !== "no set_seq") yield* bus.intervalSetSeq(interval, curSeq);
        yield step("tear down", (task) => {
          const mirror = mirrors.find((m) => m.interval === interval)!;
          // V5: odd sequence; V6: nothing after remove returned.
          expect(curSeq % 2).toBe(1);
          expect(mirror.removed).toBe(false);
          mirror.invalidations++;
          mirror.installed = false;
          windows.get(task)!.invalidated.push(interval);
          return 0;
        });
        yield mutexUnlock(lock);
        return true;
      },
    });
    const interval = bus.allocInterval(ops);
    const mirror: Mirror = { interval, inserted: false, removed: false, invalidations: 0, installed: false };
    mirrors.push(mirror);

    function* driver(): Path {
      yield* bus.intervalInsert(interval, mm.id, first * PAGE, 2 * PAGE);
      yield step("inserted", () => ((mirror.inserted = true), 0));
      for (let use = 0; use < 2; use++) {
        for (;;) {
          const seq = yield* bus.intervalReadBegin(interval);
          const before = yield step("read the page table", () => mirror.invalidations);
          yield mutexLock(lock);
          if (plan.bug !== "no read_retry" && (yield* bus.intervalReadRetry(interval, seq)) !== 0) {
            yield mutexUnlock(lock);
            continue;
          }
          yield step("install", () => {
            // V4: no invalidate ran between, and every open window that hits has yet to run it.
            expect(mirror.invalidations).toBe(before);
            for (const window of windows.values()) {
              if (window.hits.includes(interval)) expect(window.startReturned).toBe(false);
            }
            mirror.installed = true;
            return 0;
          });
          yield mutexUnlock(lock);
          break;
        }
      }
      yield* bus.intervalRemove(interval);
      yield step("removed", () => ((mirror.removed = true), 0));
    }
    return { name: `driver${index}`, run: driver };
  });

  plan.invalidations.forEach((list, index) => {
    function* invalidate(): Path {
      for (const [first, pages, nonblock] of list) {
        const range: MmuNotifierRange = {
          mm: mm.id,
          start: first * PAGE,
          end: (first + pages) * PAGE,
          event: "MMU_NOTIFY_CLEAR",
        };
        const window: Window = { range, hits: [], invalidated: [], startReturned: false };
        yield step("window opens", (task) => {
          windows.set(task, window);
          return 0;
        });
        const error = yield* nonblock ? bus.invalidateRangeStartNonblock(range) : bus.invalidateRangeStart(range);
        yield step("start returned", (task) => {
          if (error === 0) {
            // V5: each hit exactly once before start returns.
            expect(window.invalidated).toEqual(window.hits);
            window.startReturned = true;
          } else windows.delete(task);
          return 0;
        });
        if (error !== 0) continue;
        yield* bus.invalidateRangeEnd(range);
      }
    }
    threads.push({ name: `mm${index}`, run: invalidate });
  });

  // The structure exists from here on, so that every step can be checked.
  const first = bus.allocInterval(
    bus.defineIntervalOps({
      name: "none",
      *invalidate() {
        return true;
      },
    }),
  );
  new Scheduler().run(bus.intervalInsert(first, mm.id, 1000 * PAGE, PAGE));

  const hitsOf = (tree: readonly number[], { range }: Window): readonly number[] =>
    tree.filter((row) => bus.intervalStart(row) < range.end && bus.intervalEnd(row) > range.start);
  let before = words(memory);
  let collided = false;
  const choose = choices(plan.seed);
  const { stuck } = interleave(threads, choose, (task, label) => {
    const after = words(memory);
    const odd = after.seq % 2 === 1;
    // V1: the mm's sequence is odd from a hit, or an insertion into an open window, until all windows have ended.
    if (label === "__mmu_interval_notifier_insert" && after.active > 0) collided = true;
    if (label === "mmu_notifier_invalidate_range_start") collided ||= hitsOf(after.tree, windows.get(task)!).length > 0;
    if (after.active === 0) collided = false;
    expect(odd).toBe(collided);
    // V1: an interval's own sequence is always odd.
    for (const { interval, inserted, removed } of mirrors)
      if (inserted && !removed) expect(seqOf(memory, interval) % 2).toBe(1);
    // V2: odd implies that an invalidation is under way.
    if (odd) expect(after.active).toBeGreaterThan(0);
    // V3: nothing is deferred while even, and the tree changes only while even or in the step that makes it odd or even.
    else expect(after.deferred).toBe(0);
    if (before.seq % 2 === 1 && odd) expect(after.tree).toEqual(before.tree);
    if (label === "mmu_notifier_invalidate_range_start") {
      const window = windows.get(task)!;
      window.hits = hitsOf(after.tree, window);
    }
    if (label === "mmu_notifier_invalidate_range_end") windows.delete(task);
    before = after;
  });

  // V7: windows stop opening, so everybody ends.
  expect(stuck).toEqual([]);
  expect(words(memory)).toMatchObject({ active: 0, deferred: 0, tree: [first] });
  expect(words(memory).seq % 2).toBe(0);
}

describe("interval protocol under random schedules", () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 3 }), fc.boolean());
  const plan = fc.record({
    seed: fc.integer({ min: 1 }),
    invalidations: fc.array(fc.array(range, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
    drivers: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 3 }),
    seqBits: fc.constantFrom(5, 30),
  });

  it("keeps V1 to V7", () => {
    fc.assert(fc.property(plan, simulate), { numRuns: 400 });
  });

  it.each(["no set_seq", "no read_retry"] as const)("finds a driver with %s", (bug) => {
    expect(() =>
      fc.assert(
        fc.property(plan, (p) => simulate({ ...p, bug })),
        { numRuns: 2000 },
      ),
    ).toThrow(/Property failed/);
  });
});

import { describe, expect, it } from "vitest";
import {
  type Binding,
  chain,
  defineSecondaryMmu,
  deviceAccess,
  IntervalMirror,
  type IntervalMirrorOptions,
  type MmuNotifyEvent,
  PAGE_SIZE,
  READ_WRITE,
  SequenceCount,
  Workbench,
  WRITABLE_CLEAN,
} from "../src/index.js";
import { hardware } from "./context.js";

function setUp(options: Partial<IntervalMirrorOptions> = {}) {
  const bench = new Workbench({ profile: "v6.4+upgrade-event" });
  const mirrors: IntervalMirror[] = [];
  const definition = defineSecondaryMmu({
    name: "acme-gpu",
    sdk: 1,
    summary: "mirrors part of an address space",
    declares: {
      pageTable: "mirror",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: true,
      reachedByBroadcast: [],
      filters: [],
    },
    create(context): Binding {
      const mirror = new IntervalMirror(context, { start: 0, pages: 8, ...options });
      mirrors.push(mirror);
      return {
        translation: chain(mirror),
        connection: { unsubscribe: () => undefined },
        fault: mirror.strategy(),
        unbind: () => mirror.remove(),
        entries: () => mirror.entries(),
      };
    },
  });
  const bound = bench.device(definition).bind(bench.mm);
  expect(bench.run(mirrors[0]!.insert())).toBe(0);
  const range = (event: MmuNotifyEvent) => ({ mm: bench.mm, start: 3 * PAGE_SIZE, end: 4 * PAGE_SIZE, event });
  return { bench, bound, mirror: mirrors[0]!, range };
}

describe("IntervalMirror", () => {
  it("installs what it looked up, and drops it before a start returns", () => {
    const { bench, bound, range } = setUp();
    const pfn = bench.map(3, READ_WRITE);
    expect(bench.access(bound, 3, "write", 7).outcome).toEqual({ kind: "value", value: 7 });
    expect(bound.binding.entries()).toEqual([{ where: "mirror", vpn: 3, pages: 1, pfn, read: true, write: true }]);

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_UNMAP")));

    expect(bound.binding.entries()).toEqual([]);
  });

  it("does not install what an invalidation overtook", () => {
    const { bench, bound, range } = setUp();
    bench.map(3, READ_WRITE);
    const dev = bench.actor("gpu", deviceAccess(bound, 3, "read")).until("mutex_lock");

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR")));
    bench.map(3, READ_WRITE);
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_CLEAR")));
    dev.until("mutex_unlock").step();

    expect(bound.binding.entries()).toEqual([]);
    expect(dev.finish()).toBe(0);
  });

  it("retries once when its own fault raises the upgrade, and not at all when it ignores upgrades", () => {
    const faults = (ignores: IntervalMirrorOptions["ignores"]) => {
      const { bench, bound } = setUp(ignores === undefined ? {} : { ignores });
      bench.map(3, WRITABLE_CLEAN);
      bench.access(bound, 3, "read");
      const { outcome, faults: count } = bench.access(bound, 3, "write", 7);
      expect(outcome).toEqual({ kind: "value", value: 7 });
      return count;
    };

    expect(faults(undefined)).toBe(2);
    expect(faults(({ event }) => event === "MMU_NOTIFY_PROTECTION_UPGRADE")).toBe(1);
  });

  it("X8: refuses a non-blockable start while its lock is held, and changes nothing then", () => {
    const { bench, bound, range } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "read");
    const dev = bench.actor("gpu", deviceAccess(bound, 4, "read"));
    bench.map(4, READ_WRITE);
    dev.until("mutex_unlock");

    expect(bench.run(bench.k.bus.invalidateRangeStartNonblock(range("MMU_NOTIFY_UNMAP")))).toBe(-11);

    expect(bound.binding.entries().map(({ vpn }) => vpn)).toEqual([3, 4]);
  });

  it("aborts outside its range, and mirrors nothing after remove", () => {
    const { bench, bound } = setUp();
    bench.map(3, READ_WRITE);
    bench.map(9, READ_WRITE);
    bench.access(bound, 3, "read");

    expect(bench.access(bound, 9, "read").outcome.kind).toBe("abort");
    bench.run(bound.binding.unbind());

    expect(bound.binding.entries()).toEqual([]);
  });
});

describe("SequenceCount", () => {
  it("retries readers that a writer overlapped", () => {
    const { context, scheduler } = hardware();
    const count = new SequenceCount(context.memory.words("seq", 2), 0, 4);
    const take = (step: ReturnType<SequenceCount["readBegin"]>) => step.run(0);
    void scheduler;

    const seq = take(count.readBegin());
    expect(take(count.readRetry(seq))).toBe(0);
    take(count.writeBegin());
    expect(count.retries(take(count.readBegin()))).toBe(true);
    take(count.writeEnd());

    expect(take(count.readRetry(seq))).toBe(1);
    for (let i = 0; i < 7; i++) {
      take(count.writeBegin());
      take(count.writeEnd());
    }
    expect(take(count.readBegin())).toBe(seq);
  });
});

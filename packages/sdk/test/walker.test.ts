import { PTE_AF, PTE_DIRTY, PTE_RDONLY } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import {
  AccessRequest,
  chain,
  Costs,
  type DeviceEvent,
  DeviceEvents,
  DeviceMemory,
  F_ACCESS,
  F_PERMISSION,
  F_TRANSLATION,
  FailurePoints,
  type HardwareContext,
  InFlight,
  iotlb,
  leafPfn,
  leafWritable,
  READ_ONLY,
  READ_WRITE,
  TRANSLATION_KILLED,
  type Translation,
  WalkCache,
  Walker,
  type WalkerAgent,
  Workbench,
  WRITABLE_CLEAN,
} from "../src/index.js";

const PLAIN: WalkerAgent = { HA: false, HD: false };

function setUp(agent = PLAIN, arch = "arm64") {
  const bench = new Workbench({ arch, geometry: "four-level" });
  const { k } = bench;
  const events = new DeviceEvents();
  const seen: DeviceEvent[] = [];
  events.stream.subscribe((event) => seen.push(event));
  const context: HardwareContext = {
    memory: new DeviceMemory(k.memory, "dev"),
    costs: new Costs(),
    events,
    failures: new FailurePoints(),
    geometry: k.tables.geometry,
    spans: k.tables.span,
  };
  const walker = new Walker(k, bench.mm, agent, context.costs, events);
  const run = (translation: Translation, vpn: number, write = false) => {
    const request = new AccessRequest(vpn, write);
    const result = bench.run(translation.translate(request));
    if (result > 0) request.held.end();
    return result;
  };
  return { bench, k, context, walker, seen, run };
}

describe("Walker", () => {
  it("reads one level a step, top first, and returns the frame and rights of the leaf", () => {
    const { bench, walker, seen, run } = setUp();
    const pfn = bench.map(3, READ_ONLY);

    const leaf = run(walker, 3);

    expect([leafPfn(leaf), leafWritable(leaf)]).toEqual([pfn, false]);
    expect(seen.flatMap((event) => (event.kind === "walk-read" ? [event.level] : []))).toEqual([3, 2, 1, 0]);
  });

  it("ends at a block and adds the offset", () => {
    const { bench, walker, run } = setUp();
    const pfn = bench.mapBlock(512, READ_WRITE);

    expect(leafPfn(run(walker, 512 + 9))).toBe(pfn + 9);
  });

  it("sees a writable-clean entry read-only without HD, as every SMMU of mainline does", () => {
    const { bench, walker } = setUp();
    bench.map(3, WRITABLE_CLEAN);

    expect(leafWritable(walker.peek(3))).toBe(false);
  });

  it("with HD makes the entry dirty when it writes, with HA young when it reads", () => {
    const { bench, walker, run } = setUp({ HA: true, HD: true });
    bench.map(3, WRITABLE_CLEAN & ~PTE_AF);
    bench.map(4, READ_ONLY & ~PTE_AF);

    expect(leafWritable(run(walker, 3, true))).toBe(true);
    run(walker, 4);

    expect(bench.pte(3) & PTE_RDONLY).toBe(0);
    expect(bench.pte(4) & PTE_AF).not.toBe(0);
  });

  it("faults on old entries without HA, on empty and on unmapped ones", () => {
    const { bench, walker, run } = setUp();
    bench.map(3, READ_ONLY & ~PTE_AF);

    expect(run(walker, 3)).toBe(F_ACCESS);
    expect(run(walker, 4)).toBe(F_TRANSLATION);
    expect(run(walker, 2 ** 30)).toBe(F_TRANSLATION);
  });

  it("on x86 sets A and D", () => {
    const { bench, walker, run } = setUp({ HA: true, HD: true }, "x86-64");
    bench.map(3, READ_WRITE & ~PTE_AF & ~PTE_DIRTY);

    run(walker, 3, true);

    expect(bench.pte(3) & (PTE_AF | PTE_DIRTY)).toBe(PTE_AF | PTE_DIRTY);
  });

  it("stops when an invalidation has overtaken it, and lets go of what tracked it", () => {
    const { bench, walker, context } = setUp();
    bench.map(3, READ_ONLY);
    const inFlight = new InFlight(context.memory, "test");
    const request = new AccessRequest(3, false);
    request.hold(inFlight, inFlight.walk(1, 3));
    const walk = bench.actor("walk", walker.translate(request)).until("level 1");

    inFlight.cover(1, 0, 8);

    expect(walk.finish()).toBe(TRANSLATION_KILLED);
    expect(inFlight.count).toBe(0);
  });

  it("alone under a chain refuses what the leaf does not allow", () => {
    const { bench, walker, run } = setUp();
    bench.map(3, READ_ONLY);

    expect(run(chain(walker), 3, true)).toBe(F_PERMISSION);
  });
});

describe("WalkCache", () => {
  function cached() {
    const setup = setUp();
    const { context, walker } = setup;
    const tlb = iotlb(context, { sets: 1, ways: 1, hitPolicy: "fault-from-tlb" });
    const walkCache = new WalkCache(context, { entries: 2, span: context.spans[1]!, asid: () => 1 });
    tlb.addWalkCache(walkCache);
    const translation = chain(
      tlb.stage(() => 1, walker),
      walker.withWalkCache(walkCache),
    );
    return { ...setup, tlb, translation };
  }

  it("spares the upper levels", () => {
    const { bench, translation, run, context } = cached();
    bench.map(3, READ_ONLY);
    bench.map(4, READ_ONLY);
    run(translation, 3);
    const before = context.costs.of("walkReads");

    run(translation, 4);

    expect(context.costs.of("walkReads") - before).toBe(1);
  });

  it("is left alone by a leaf-only invalidation, which is wrong when a table was freed (T10)", () => {
    const { bench, k, tlb, translation, run } = cached();
    const pfn = bench.map(3, READ_ONLY);
    run(translation, 3);
    const table = k.tables.tableOf(k.tables.find(k.mms.pgd(bench.mm), 0, 3));
    k.tables.set(k.tables.find(k.mms.pgd(bench.mm), 1, 3), 0);

    tlb.invalidateVA(1, 3, true);
    expect(leafPfn(run(translation, 3))).toBe(pfn);
    tlb.invalidateVA(1, 3, false);

    expect(run(translation, 3)).toBe(F_TRANSLATION);
    expect(k.tables.segment.isLive(table)).toBe(true);
  });

  it("makes room when it is full", () => {
    const { bench, translation, run, tlb } = cached();
    for (const vpn of [0, 512, 1024]) {
      bench.map(vpn, READ_ONLY);
      run(translation, vpn);
    }

    tlb.invalidateAll();
    expect(run(translation, 0)).toBeGreaterThan(0);
  });
});

describe("InFlight", () => {
  it("a barrier waits for accesses that an invalidation marked, not for later ones nor for walks", () => {
    const { context } = setUp();
    const inFlight = new InFlight(context.memory, "test");
    const used = inFlight.use(1, 5);
    const other = inFlight.use(2, 5);
    const walk = inFlight.walk(1, 5);

    inFlight.cover(1, 0, 8);
    inFlight.use(1, 5);

    expect(inFlight.drained).toBe(false);
    expect([inFlight.isKilled(walk), inFlight.isKilled(other)]).toEqual([true, false]);
    inFlight.end(used);
    expect(inFlight.drained).toBe(true);
  });
});

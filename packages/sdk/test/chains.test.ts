import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answering,
  Atc,
  atcInv,
  type Binding,
  type BindingContext,
  chain,
  commandQueue,
  defineSecondaryMmu,
  flushes,
  GuestTable,
  HIT_POLICIES,
  type HitPolicy,
  IntervalMirror,
  type InvalidationStrategy,
  Iotlb,
  pageByPage,
  type Path,
  PinnedPages,
  powerOfTwoPieces,
  powerOfTwoSpan,
  READ_ONLY,
  READ_WRITE,
  softwareFault,
  tlbiNhAsid,
  tlbiNhVa,
  tlbTarget,
  type TranslationStage,
  twoStage,
  upToPages,
  WalkCache,
  wholeAddressSpace,
  Workbench,
} from "../src/index.js";

const ASID = 1;
const DECLARES = {
  pageTable: "shared-walk",
  onMissingRight: "either",
  resolvesFaultsInSoftware: false,
  reachedByBroadcast: [],
  filters: [],
} as const;

/** What a device that walks the CPU's table is made of. */
interface Shape {
  readonly atc: boolean;
  /** Levels of IOTLB, each of which may answer. */
  readonly levels: number;
  readonly walkCache: boolean;
  readonly ways: number;
  readonly policy: HitPolicy;
  readonly strategy: InvalidationStrategy;
}

function walks(context: BindingContext<undefined, Record<string, never>>, shape: Shape): Binding {
  const { faults, memory, notifications, spans, walker } = context;
  const { policy, strategy, ways } = shape;
  const walkCache = new WalkCache(context, { entries: 2, span: spans[1]!, asid: () => ASID });
  const table = shape.walkCache ? walker.withWalkCache(walkCache) : walker;
  const iotlbs = Array.from(
    { length: shape.levels },
    (_, level) =>
      new Iotlb(
        { ...context, memory: memory.named(`level ${level}`) },
        { sets: 1, ways: ways + level, hitPolicy: policy },
      ),
  );
  for (const iotlb of iotlbs) iotlb.addWalkCache(walkCache);
  const atcs = shape.atc ? [new Atc(context, { sid: 0, ssid: ASID, sets: 1, ways, hitPolicy: policy })] : [];
  const queue = commandQueue(context, {
    target: tlbTarget({
      // Nearest the table first: an upper level refills from a lower one.
      iotlbs: [...iotlbs].reverse(),
      atcs,
      other: () => expect.unreachable("no other command is issued"),
    }),
  });
  function* invalidate(start: number, end: number): Path {
    const pieces = strategy(start, end);
    yield* queue.issue(pieces.map((p) => (p.pages === Infinity ? tlbiNhAsid(ASID) : tlbiNhVa(ASID, p.start, p.pages))));
    if (shape.atc) yield* queue.issue(pieces.map((p) => atcInv(0, ASID, p.start, p.pages)));
  }
  return {
    translation: chain(...atcs, ...iotlbs.map((iotlb) => iotlb.stage(() => ASID, walker)), table),
    connection: notifications
      .pipe(flushes())
      .subscribe(answering({ invalidate, release: () => invalidate(0, Infinity) })),
    fault: softwareFault(context, faults),
    unbind: () => invalidate(0, Infinity),
    entries: () => [...iotlbs.flatMap((iotlb) => iotlb.entries(ASID)), ...atcs.flatMap((atc) => atc.entries())],
  };
}

function device(bench: Workbench, create: (context: BindingContext<undefined, Record<string, never>>) => Binding) {
  return bench
    .device(defineSecondaryMmu({ name: "parts", sdk: 1, summary: "parts", declares: DECLARES, create }))
    .bind(bench.mm);
}

const shape: fc.Arbitrary<Shape> = fc.record({
  atc: fc.boolean(),
  levels: fc.integer({ min: 0, max: 2 }),
  walkCache: fc.boolean(),
  ways: fc.integer({ min: 1, max: 3 }),
  policy: fc.constantFrom(...HIT_POLICIES),
  strategy: fc.constantFrom(
    pageByPage(),
    powerOfTwoSpan(),
    powerOfTwoPieces(),
    wholeAddressSpace(),
    upToPages(3, pageByPage()),
  ),
});

const PAGES = 8;
const page = fc.integer({ min: 0, max: PAGES - 1 });
type Op =
  | { readonly op: "map"; readonly vpn: number; readonly writable: boolean }
  | { readonly op: "unmap" | "downgrade"; readonly vpn: number; readonly pages: number }
  | { readonly op: "upgrade" | "read"; readonly vpn: number }
  | { readonly op: "write"; readonly vpn: number; readonly value: number };
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ op: fc.constant("map" as const), vpn: page, writable: fc.boolean() }),
  fc.record({
    op: fc.constantFrom("unmap" as const, "downgrade" as const),
    vpn: page,
    pages: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ op: fc.constantFrom("upgrade" as const, "read" as const), vpn: page }),
  fc.record({ op: fc.constant("write" as const), vpn: page, value: fc.integer({ min: 1, max: 200 }) }),
);

/** Runs a history and checks that every access of the device finds the frame that the process has there now, or what it must not. */
function follows(bench: Workbench, bound: ReturnType<typeof device>, ops: readonly Op[]): void {
  const content = (vpn: number): number => bench.k.pages.content(bench.pte(vpn) >>> 13);
  for (const one of ops) {
    const mapped = bench.pte(one.vpn) !== 0;
    switch (one.op) {
      case "map":
        if (!mapped) bench.map(one.vpn, one.writable ? READ_WRITE : READ_ONLY);
        break;
      case "unmap":
        bench.run(bench.unmap(one.vpn, Math.min(one.pages, PAGES - one.vpn)));
        break;
      case "downgrade":
        bench.run(bench.downgrade(one.vpn, Math.min(one.pages, PAGES - one.vpn)));
        break;
      case "upgrade":
        if (mapped) bench.run(bench.upgrade(one.vpn));
        break;
      case "read": {
        const expected = mapped
          ? { kind: "value", value: content(one.vpn) }
          : { kind: "abort", fault: "F_TRANSLATION" };
        expect(bench.access(bound, one.vpn, "read").outcome).toEqual(expected);
        break;
      }
      case "write": {
        const { outcome } = bench.access(bound, one.vpn, "write", one.value);
        expect(outcome.kind).toBe(mapped ? "value" : "abort");
        if (mapped) expect(content(one.vpn)).toBe(one.value);
      }
    }
    for (const { vpn, pages, pfn, write } of bound.binding.entries()) {
      expect([vpn, pages, bench.pte(vpn) >>> 13]).toEqual([vpn, 1, pfn]);
      if (write) expect(bench.k.pte.hwWritable(bench.pte(vpn), false)).toBe(true);
    }
  }
}

describe("chains of parts that walk the CPU's table", () => {
  it("follow every history of a process on a kernel that tells, whatever they are made of", () => {
    fc.assert(
      fc.property(shape, fc.array(op, { minLength: 4, maxLength: 24 }), (made, ops) => {
        const bench = new Workbench({ profile: "v6.12" });
        follows(
          bench,
          device(bench, (context) => walks(context, made)),
          ops,
        );
      }),
      { numRuns: 150 },
    );
  });
});

describe("mirrors", () => {
  const cached = fc.boolean();

  it("follow every history, with a cache above that their flush empties", () => {
    fc.assert(
      fc.property(cached, fc.array(op, { minLength: 4, maxLength: 24 }), (above, ops) => {
        const bench = new Workbench({ profile: "v6.4+upgrade-event" });
        follows(
          bench,
          device(bench, (context) => mirrors(context, above)),
          ops,
        );
      }),
      { numRuns: 150 },
    );
  });

  it("follow every history under a guest's stage 1, cached as one", () => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 4, maxLength: 24 }), (ops) => {
        const bench = new Workbench({ profile: "v6.4+upgrade-event" });
        follows(
          bench,
          device(bench, (context) => mirrors(context, true, allowsAll(context))),
          ops,
        );
      }),
      { numRuns: 100 },
    );
  });
});

function allowsAll(context: BindingContext<undefined, Record<string, never>>): TranslationStage {
  const stage1 = new GuestTable({ ...context, memory: context.memory.named("guest") });
  for (let vpn = 0; vpn < PAGES; vpn++) stage1.map(vpn, true);
  return twoStage(stage1);
}

function mirrors(
  context: BindingContext<undefined, Record<string, never>>,
  above: boolean,
  stage1?: TranslationStage,
): Binding {
  const tlb = new Iotlb(context, { sets: 1, ways: 2, hitPolicy: "fault-from-tlb" });
  const queue = commandQueue(context, { target: tlbTarget({ iotlbs: [tlb] }) });
  const mirror = new IntervalMirror(context, {
    flush: (start, end) => queue.issue([tlbiNhVa(ASID, start, end - start)]),
  });
  return {
    attach: () => mirror.insert(),
    translation: chain(
      ...(above ? [tlb.stage(() => ASID, mirror)] : []),
      ...(stage1 === undefined ? [] : [stage1]),
      mirror,
    ),
    fault: mirror.strategy(),
    unbind: () => mirror.remove(),
    entries: () => [...mirror.entries(), ...tlb.entries(ASID)],
  };
}

describe("twoStage", () => {
  it("gives the rights that both stages give, and lets go of an access that it refuses", () => {
    const bench = new Workbench();
    const guest: { table?: GuestTable } = {};
    const bound = device(bench, (context) => {
      const stage1 = new GuestTable(context);
      guest.table = stage1;
      return {
        ...mirrors(context, false, twoStage(stage1)),
        fault: {
          name: "abort",
          *handle() {
            return 2;
          },
        },
      };
    });
    bench.map(3, READ_WRITE);
    guest.table!.map(3, false);

    expect(bench.access(bound, 3, "write").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
    expect(bench.access(bound, 2, "read").outcome.kind).toBe("abort");
  });
});

describe("PinnedPages", () => {
  const pinned: { pages?: PinnedPages } = {};
  const pins = (bench: Workbench) =>
    device(bench, (context) => {
      const pages = new PinnedPages(context);
      pinned.pages = pages;
      return {
        attach: () => pages.insert(),
        translation: chain(pages),
        fault: pages.strategy(),
        unbind: () => pages.remove(),
        entries: () => pages.entries(),
      };
    });

  it("keeps its frames through everything but an unmap, and holds a pin until it lets go", () => {
    const bench = new Workbench({ geometry: "four-level" });
    bench.mmap(16, 4, "private");
    const bound = pins(bench);

    expect(bench.access(bound, 16, "write", 7).outcome).toEqual({ kind: "value", value: 7 });
    const { pfn } = bound.binding.entries()[0]!;
    bench.munmap(16, 4);

    expect(bound.binding.entries()).toEqual([]);
    expect(pinned.pages!.count).toBe(1);
    expect(bench.k.pages.refcount(pfn)).toBeGreaterThan(0);
    bench.run(bound.binding.unbind());
    expect(pinned.pages!.count).toBe(0);
    expect(bench.k.pages.refcount(pfn)).toBe(0);
  });

  it("pins a page once more to write it, and refuses what the process does not have", () => {
    const bench = new Workbench({ geometry: "four-level" });
    bench.mmap(16, 4, "shared");
    const bound = pins(bench);

    expect(bench.access(bound, 16, "read").outcome.kind).toBe("value");
    expect(bench.access(bound, 16, "write", 9).outcome).toEqual({ kind: "value", value: 9 });
    expect(pinned.pages!.count).toBe(2);
    expect(bench.access(bound, 32, "read").outcome.kind).toBe("abort");
  });

  it("does not map what an unmap overtook", () => {
    const bench = new Workbench({ geometry: "four-level" });
    bench.mmap(16, 4, "private");
    const bound = pins(bench);
    const pin = bench.actor("driver", pinned.pages!.pin(16, true)).until("mutex_lock");

    bench.munmap(16, 4);

    expect(pin.finish()).toBe(1);
    expect(bound.binding.entries()).toEqual([]);
    expect(pinned.pages!.count).toBe(0);
  });
});

describe("the names of commands", () => {
  it("are the hardware's own where it has some", () => {
    const bench = new Workbench();
    const bound = device(bench, (context) => {
      const queue = commandQueue(context, { names: { 0x46: "inv_wait" }, target: tlbTarget({}) });
      return { ...mirrors(context, false), unbind: () => queue.issue([tlbiNhAsid(ASID)]) as Path<never> };
    });

    bench.run(bound.binding.unbind());

    expect(bound.context.costs.report().commands).toEqual({ CMD_TLBI_NH_ASID: 1, inv_wait: 1 });
  });
});

import { TINY } from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, it, expect } from "vitest";
import {
  AccessRequest,
  atc,
  type CostCounter,
  F_TRANSL_FORBIDDEN,
  type HeldRows,
  HIT_POLICIES,
  type HitPolicy,
  iotlb,
  LEAF_READ,
  LEAF_WRITE,
  packLeaf,
  type SecondaryEntry,
  type TranslationStage,
} from "../src/index.js";
import { hardware } from "./context.js";
import { type Access, type Invalidation, ReferenceCache } from "./reference-cache.js";

const PAGES = 16;
const SPANS = [1, 4];
const COUNTERS = [
  "hits",
  "misses",
  "insertions",
  "killedWalks",
  "evictions",
  "needlessEvictions",
  "refills",
  "translationRequests",
] as const satisfies readonly CostCounter[];

type Op =
  | {
      readonly do: "map";
      readonly asid: number;
      readonly vpn: number;
      readonly leaf: "nothing" | "page" | "block";
      readonly write: boolean;
    }
  | { readonly do: "access"; readonly access: Access; readonly overtaken: readonly Invalidation[] }
  | { readonly do: "finish"; readonly pick: number }
  | { readonly do: "invalidate"; readonly what: Invalidation };

const asid = fc.constantFrom(1, 2);
const vpn = fc.nat(PAGES - 1);
const invalidation: fc.Arbitrary<Invalidation> = fc.oneof(
  fc
    .tuple(asid, vpn, fc.integer({ min: 1, max: 5 }))
    .map(([of, start, pages]) => ({ asid: of, start, end: start + pages })),
  fc.oneof(asid, fc.constant(-1)).map((of) => ({ asid: of, start: 0, end: Infinity })),
);
const map: fc.Arbitrary<Op> = fc.record({
  do: fc.constant("map" as const),
  asid,
  vpn,
  leaf: fc.constantFrom("nothing", "page", "page", "block"),
  write: fc.boolean(),
});
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: map },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("access" as const),
      access: fc.record({ asid, vpn, write: fc.boolean(), ats: fc.constantFrom(false, false, true) }),
      overtaken: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.array(invalidation, { maxLength: 2 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("finish" as const), pick: fc.nat(7) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("invalidate" as const), what: invalidation }) },
);

interface Shape {
  readonly kind: "iotlb" | "atc";
  readonly sets: number;
  readonly ways: number;
  readonly policy: HitPolicy;
}

/** Does the same to a cache of the sdk and to the reference, and compares all that can be seen. */
function compare({ kind, sets, ways, policy }: Shape, mapped: readonly Op[], ops: readonly Op[]): void {
  const { context, costs, scheduler, seen } = hardware(TINY);
  /** By address space: what each page is mapped to. */
  const tables = [1, 2].map(() => Array.from({ length: PAGES }, () => 0));
  let frames = 100;
  const table = (of: number, page: number): number => tables[of - 1]![page]!;
  const reference = new ReferenceCache({
    kind,
    sets,
    ways,
    spans: SPANS,
    table,
    policy: policy === "nondeterministic" ? "fault-from-tlb" : policy,
  });
  const options = { sets, ways, hitPolicy: policy };
  const cache = kind === "iotlb" ? iotlb(context, options) : atc(context, { ...options, sid: 3, ssid: 1 });
  const stages: readonly TranslationStage[] = [1, 2].map((of) =>
    "stage" in cache ? cache.stage(() => of, { peek: (page) => table(of, page) }) : cache,
  );
  const inUse: HeldRows[] = [];

  const invalidate = (what: Invalidation): number => {
    if (!("stage" in cache)) return cache.invalidate(what.start, what.end);
    if (what.end !== Infinity && what.end === what.start + 1) return cache.invalidateVA(what.asid, what.start);
    if (what.end !== Infinity) return cache.invalidateRange(what.asid, what.start, what.end);
    return what.asid === -1 ? cache.invalidateAll() : cache.invalidateASID(what.asid);
  };
  // An ATC belongs to one address space and is asked by its device alone.
  const inSpace = (of: number): number => (kind === "atc" && of === 2 ? 1 : of);

  function run(next: Op): void {
    switch (next.do) {
      case "map": {
        const { write, leaf } = next;
        const first = leaf === "block" ? next.vpn - (next.vpn % SPANS[1]!) : next.vpn;
        const pages = leaf === "block" ? SPANS[1]! : 1;
        frames += 8;
        for (let i = 0; i < pages; i++)
          tables[inSpace(next.asid) - 1]![first + i] =
            leaf === "nothing"
              ? 0
              : packLeaf(frames + i, leaf === "block" ? 1 : 0, write ? LEAF_READ | LEAF_WRITE : LEAF_READ);
        return;
      }
      case "access": {
        const access = { ...next.access, asid: inSpace(next.access.asid), ats: kind === "iotlb" && next.access.ats };
        const overtaken = next.overtaken.map((one) => ({ ...one, asid: inSpace(one.asid) }));
        const request = new AccessRequest(access.vpn, access.write, access.ats);
        const result = scheduler.run(
          stages[access.asid - 1]!.translate(request, function* (asked): Path<number> {
            expect(asked.ats).toBe(access.ats || kind === "atc");
            for (const one of overtaken)
              yield step("overtake", () => {
                invalidate(one);
                return 0;
              });
            const leaf = table(access.asid, access.vpn);
            // The walker ends what tracks a walk that found nothing; an ATC does that by itself.
            if (leaf === 0 && kind === "iotlb")
              yield step("nothing", () => {
                request.held.end();
                return 0;
              });
            return leaf;
          }),
        );
        if (access.ats && result > 0) expect(request.held.any, "a translation request uses nothing here").toBe(false);
        const users = reference.users.length;
        expect(result).toBe(reference.access(access, overtaken));
        if (reference.users.length > users) inUse.push(request.held);
        return;
      }
      case "finish": {
        if (inUse.length === 0) return;
        const at = next.pick % inUse.length;
        inUse.splice(at, 1)[0]!.end();
        reference.users.splice(at, 1);
        return;
      }
      case "invalidate": {
        const what = { ...next.what, asid: inSpace(next.what.asid) };
        expect(invalidate(what)).toBe(reference.invalidate(what));
      }
    }
  }

  const texts = (entries: readonly SecondaryEntry[]): readonly string[] =>
    entries.map(({ where, vpn: first, pages, pfn, read, write }) => {
      expect([where, read]).toEqual([kind, true]);
      return `${first}+${pages} -> ${pfn} ${write ? "w" : "r"}`;
    });
  for (const next of mapped) run(next);
  for (const next of ops) {
    run(next);
    if ("stage" in cache)
      for (const of of [1, 2]) {
        expect(texts(cache.entries(of))).toEqual(reference.entries(of));
        // A replay's fast path finds what the path finds.
        const leaves = Array.from({ length: PAGES }, (_, page) => cache.peek(of, page));
        const writable = leaves.map((leaf) => ((leaf & LEAF_WRITE) === 0 ? 0 : leaf));
        expect(leaves.map((_, page) => stages[of - 1]!.hit!(page, true))).toEqual(writable);
        costs.count("hits", -writable.filter((leaf) => leaf !== 0).length);
      }
    else expect(texts(cache.entries())).toEqual(reference.entries(1));
    expect(cache.drained).toBe(reference.drained);
    expect(cache.inFlight.count).toBe(reference.users.length);
    expect(COUNTERS.map((counter) => costs.of(counter))).toEqual(
      COUNTERS.map((counter) => reference.costs.get(counter) ?? 0),
    );
  }
  const told = seen.map((event) => {
    switch (event.kind) {
      case "lookup":
        return `lookup ${event.asid} ${event.vpn} ${event.hit}`;
      case "insert":
        return `insert ${event.asid} ${event.vpn}+${event.pages} -> ${event.pfn} ${event.write ? "w" : "r"}`;
      case "evict":
        return `evict ${event.asid} ${event.vpn} ${event.needless}`;
      default:
        return event.kind;
    }
  });
  expect(told).toEqual(reference.events);
}

describe("translation caches against lists of entries", () => {
  const shape = (kind: Shape["kind"]): fc.Arbitrary<Shape> =>
    fc.record({
      kind: fc.constant(kind),
      sets: fc.constantFrom(1, 2, 4),
      ways: fc.constantFrom(1, 2, 3),
      policy: fc.constantFrom(...HIT_POLICIES),
    });

  it.each(["iotlb", "atc"] as const)("an %s finds, fills, drops, waits and counts alike", (kind) => {
    const mapped = fc.array(map, { minLength: 12, maxLength: 12 });
    const ops = fc.array(op, { minLength: 4, maxLength: 40, size: "max" });
    fc.assert(fc.property(shape(kind), mapped, ops, compare), { numRuns: 200 });
  });
});

describe("two accesses at a time", () => {
  it.each(["iotlb", "atc"] as const)("that both miss leave one entry in an %s, the later", (kind) => {
    const { context, scheduler } = hardware(TINY);
    const options = { sets: 2, ways: 4, hitPolicy: "fault-from-tlb" } as const;
    const cache = kind === "iotlb" ? iotlb(context, options) : atc(context, { ...options, sid: 3, ssid: 1 });
    const stage: TranslationStage = "stage" in cache ? cache.stage(() => 1, { peek: () => 0 }) : cache;
    const leaf = (pfn: number): number => packLeaf(pfn, 0, LEAF_READ);
    scheduler.run(
      stage.translate(new AccessRequest(5, false), function* (): Path<number> {
        yield* stage.translate(new AccessRequest(5, false), function* (): Path<number> {
          return leaf(40);
        });
        return leaf(41);
      }),
    );

    const entries = "stage" in cache ? cache.entries(1) : cache.entries();
    expect(entries.map(({ vpn: first, pfn }) => [first, pfn])).toEqual([[5, 41]]);
  });
});

describe("an ATC that fails", () => {
  const held = () => {
    const bench = hardware(TINY);
    const cache = atc(bench.context, { sid: 3, ssid: 1, sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
    const access = (page: number, leaf = packLeaf(40 + page, 0, LEAF_READ)) => {
      const request = new AccessRequest(page, false);
      const result = bench.scheduler.run(
        cache.translate(request, function* (): Path<number> {
          return leaf;
        }),
      );
      return { result, held: request.held };
    };
    return { ...bench, cache, access };
  };

  it("drops nothing once it is dead, and nobody waits for what it uses", () => {
    const { cache, access } = held();
    const { held: using } = access(1);
    cache.invalidate(1, 2);
    expect([cache.drained, cache.unanswered]).toEqual([false, false]);
    cache.setDead(true);

    expect([cache.drained, cache.unanswered]).toEqual([true, true]);
    access(2).held.end();
    expect(cache.invalidate(0, 8)).toBe(-1);
    expect(cache.entries()).toHaveLength(1);
    using.end();
    expect([cache.drained, cache.unanswered]).toEqual([true, false]);
    cache.setDead(false);
    expect(cache.invalidate(0, 8)).toBe(1);
  });

  it("is of no use once forbidden: what it held is gone, and barriers wait for what was under way although it is dead", () => {
    const { cache, access } = held();
    const { held: using } = access(1);
    access(2).held.end();
    cache.setDead(true);
    cache.forbid();

    expect(cache.forbidden).toBe(true);
    expect(cache.entries()).toEqual([]);
    expect([cache.drained, cache.unanswered]).toEqual([false, false]);
    using.end();
    expect(cache.drained).toBe(true);
    expect(access(2).result).toBe(F_TRANSL_FORBIDDEN);
    expect(cache.inFlight.count).toBe(0);
  });

  it("can be made to fail from outside, by a name with its stream and substream", () => {
    const { cache, context } = held();
    const [point] = context.failures.all;

    expect(point?.name).toBe("atc 3.1 does not answer invalidate requests");
    point?.set(true);
    expect(cache.dead).toBe(true);
  });
});

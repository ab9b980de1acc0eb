import { MEMSLOT_LOG_DIRTY, READ_ONLY, READ_WRITE, WRITABLE_CLEAN, Workbench } from "@mmu-notifier/sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import kvm, { type KvmBinding } from "../src/index.js";

/** Two slots with a gap between them, guest frames in another order than host pages. */
const SLOTS = [
  { gfn: 100, vpn: 0, pages: 4 },
  { gfn: 96, vpn: 6, pages: 4 },
] as const;
const PAGES = 12;

const vpn = fc.nat(PAGES - 1);
const pages = fc.integer({ min: 1, max: 5 });
const slot = fc.constantFrom(0, 1);
const flags = fc.constantFrom(READ_ONLY, READ_WRITE, WRITABLE_CLEAN);
const op = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("map" as const), vpn, flags }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("unmap", "downgrade"), vpn, pages }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant("access" as const), vpn, write: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("startLog", "readLog", "readLog", "readLog"), slot }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("refresh" as const), cache: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), slot }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("release" as const) }) },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

interface Page {
  pfn: number;
  writable: boolean;
  value: number;
}
interface Mapping {
  readonly pfn: number;
  writable: boolean;
  readonly hostWritable: boolean;
}

/** What a guest's memory is, as maps of pages and frames. */
class Reference {
  readonly host = new Map<number, Page>();
  readonly shadow = new Map<number, Mapping>();
  readonly dirty = new Set<number>();
  readonly logs = [false, false];
  readonly removed = [false, false];
  /** Frame of each kernel map, 0 while invalid. */
  readonly caches: number[] = [];
  released = false;
  zaps = 0;
  flushes = 0;

  slotOf(at: number, by: "vpn" | "gfn"): number {
    return SLOTS.findIndex((of, index) => !this.removed[index] && at >= of[by] && at < of[by] + of.pages);
  }

  gfnOf(at: number): number {
    const of = SLOTS[this.slotOf(at, "vpn")];
    return of === undefined ? -1 : of.gfn + at - of.vpn;
  }

  vpnOf(gfn: number): number {
    const of = SLOTS[this.slotOf(gfn, "gfn")];
    return of === undefined ? -1 : of.vpn + gfn - of.gfn;
  }

  invalidate(start: number, end: number): void {
    for (const [index, gfn] of CACHED.entries()) {
      const at = this.vpnOf(gfn);
      if (at >= start && at < end) this.caches[index] = 0;
    }
    const gone = [...this.shadow.keys()].filter((gfn) => this.vpnOf(gfn) >= start && this.vpnOf(gfn) < end);
    for (const gfn of gone) this.shadow.delete(gfn);
    this.zaps += gone.length;
    if (gone.length > 0) this.flushes++;
  }

  /** What a page fault of the host gives: a write makes the page writable. */
  getPage(at: number, write: boolean): Page | undefined {
    const page = this.host.get(at);
    if (page !== undefined && write) page.writable = true;
    return page;
  }

  /** What the guest reads, or 0 after a write; undefined when the access aborts. */
  access(at: number, write: number | undefined): number | undefined {
    const index = this.slotOf(at, "vpn");
    const gfn = this.gfnOf(at);
    if (index < 0 || this.released) return undefined;
    let mapping = this.shadow.get(gfn);
    if (mapping !== undefined && write !== undefined && !mapping.writable && mapping.hostWritable) {
      mapping.writable = true;
      this.dirty.add(gfn);
    }
    if (mapping === undefined || (write !== undefined && !mapping.writable)) {
      const page = this.getPage(at, write !== undefined);
      if (page === undefined) return undefined;
      const hostWritable = page.writable;
      mapping = { pfn: page.pfn, hostWritable, writable: hostWritable && (write !== undefined || !this.logs[index]!) };
      this.shadow.set(gfn, mapping);
      if (write !== undefined && this.logs[index]) this.dirty.add(gfn);
    }
    const page = this.host.get(at)!;
    if (write !== undefined) page.value = write;
    return page.value;
  }

  of(index: number): readonly number[] {
    const { gfn, pages: count } = SLOTS[index]!;
    return Array.from({ length: count }, (_, i) => gfn + i);
  }

  writeProtect(frames: readonly number[]): number {
    const held = frames.flatMap((gfn) => this.shadow.get(gfn) ?? []).filter(({ writable }) => writable);
    for (const mapping of held) mapping.writable = false;
    return held.length;
  }
}

/** Guest frames that the kernel keeps maps of: each frame of the slots, and one of no slot. */
const CACHED = [96, 97, 98, 99, 100, 101, 102, 103, 104];

/** @param first entries of the pages to begin with @param logged the slots whose writes are logged from the beginning */
function compare(first: readonly number[], logged: readonly boolean[], ops: readonly Op[]): void {
  const bench = new Workbench({ profile: "v6.4+upgrade-event", geometry: "four-level" });
  const device = bench.device(kvm, { memslots: [...SLOTS] });
  const bound = device.bind(bench.mm);
  const binding = bound.binding as KvmBinding;
  const { vm } = binding;
  const reference = new Reference();
  for (const gfn of CACHED) reference.caches[binding.addPfnCache(gfn) - 1] = 0;
  let value = 0;

  function run(next: Op): void {
    switch (next.do) {
      case "map": {
        bench.run(bench.unmap(next.vpn));
        reference.invalidate(next.vpn, next.vpn + 1);
        const pfn = bench.map(next.vpn, next.flags);
        reference.host.set(next.vpn, { pfn, writable: next.flags === READ_WRITE, value: 0 });
        return;
      }
      case "unmap":
      case "downgrade": {
        const end = next.vpn + next.pages;
        bench.run(bench[next.do](next.vpn, next.pages));
        reference.invalidate(next.vpn, end);
        for (let at = next.vpn; at < end; at++) {
          const page = reference.host.get(at);
          if (next.do === "unmap") reference.host.delete(at);
          else if (page !== undefined) page.writable = false;
        }
        return;
      }
      case "access": {
        const { outcome } = bench.access(bound, next.vpn, next.write ? "write" : "read", next.write ? ++value : 0);
        const expected = reference.access(next.vpn, next.write ? value : undefined);
        expect(outcome.kind).toBe(expected === undefined ? "abort" : "value");
        if (outcome.kind === "value") expect(outcome.value).toBe(expected);
        return;
      }
      case "startLog": {
        if (reference.removed[next.slot]) return;
        bench.run(binding.startDirtyLog(next.slot + 1));
        reference.logs[next.slot] = true;
        if (reference.writeProtect(reference.of(next.slot)) > 0) reference.flushes++;
        expect(vm.memslots.get(next.slot + 1).flags).toBe(MEMSLOT_LOG_DIRTY);
        return;
      }
      case "readLog": {
        if (reference.removed[next.slot]) return;
        const written = reference.of(next.slot).filter((gfn) => reference.dirty.delete(gfn));
        reference.writeProtect(written);
        if (written.length > 0) reference.flushes++;
        expect(bench.run(binding.getDirtyLog(next.slot + 1))).toBe(written.length);
        return;
      }
      case "refresh": {
        // Nobody looks pages up in an address space that is gone.
        if (reference.released) return;
        const index = next.cache % CACHED.length;
        const at = reference.vpnOf(CACHED[index]!);
        const page = at < 0 ? undefined : reference.getPage(at, true);
        if (page !== undefined) reference.caches[index] = page.pfn;
        expect(bench.run(binding.refreshPfnCache(index + 1)) < 0).toBe(page === undefined);
        return;
      }
      case "remove": {
        if (reference.removed[next.slot]) return;
        bench.run(binding.removeMemslot(next.slot + 1));
        const frames = reference.of(next.slot).filter((gfn) => reference.shadow.delete(gfn));
        if (frames.length > 0) reference.flushes++;
        for (const [index, gfn] of CACHED.entries())
          if (reference.of(next.slot).includes(gfn)) reference.caches[index] = 0;
        reference.removed[next.slot] = true;
        return;
      }
      case "release":
        bench.run(bench.k.bus.release(bench.mm));
        if (!reference.released) {
          reference.zaps += reference.shadow.size;
          reference.flushes++;
        }
        reference.shadow.clear();
        reference.caches.fill(0);
        reference.released = true;
    }
  }

  const before = [
    ...first.map((entry, at) => ({ do: "map", vpn: at, flags: entry }) as const),
    ...CACHED.map((_, cache) => ({ do: "refresh", cache }) as const),
    ...([0, 1] as const).flatMap((of) => (logged[of] === true ? ({ do: "startLog", slot: of } as const) : [])),
  ];
  for (const next of before) run(next);
  for (const next of ops) {
    run(next);
    const entries = binding.entries();
    const texts = entries
      .filter(({ where }) => where === "spte")
      .map(({ vpn: at, pages: count, pfn, read, write }) => [at, count, pfn, read, write]);
    const mapped = [...reference.shadow]
      .sort(([a], [b]) => a - b)
      .map(([gfn, { pfn, writable }]) => [reference.vpnOf(gfn), 1, pfn, true, writable]);
    expect(texts).toEqual(mapped);
    // What a vCPU has cached is of the table.
    for (const { where, vpn: at, pfn, write } of entries) {
      if (where === "spte") continue;
      const mapping = reference.shadow.get(reference.gfnOf(at));
      expect([mapping?.pfn, write && !mapping!.writable]).toEqual([pfn, false]);
    }
    expect(CACHED.map((_, index) => vm.pfnCaches.pfn(index + 1))).toEqual(reference.caches);
    expect(Array.from({ length: PAGES }, (_, at) => binding.deviceAddress!(at))).toEqual(
      Array.from({ length: PAGES }, (_, at) => reference.gfnOf(at)),
    );
    expect([vm.counters.mnActive, vm.counters.inProgress, vm.counters.bugged]).toEqual([0, 0, false]);
    expect([device.costs.of("zaps"), device.costs.of("remoteFlushes")]).toEqual([reference.zaps, reference.flushes]);
  }
}

describe("kvm against maps of pages and frames", () => {
  it("maps, logs, forgets and counts alike, slot by slot", () => {
    const first = fc.array(flags, { minLength: PAGES, maxLength: PAGES });
    const logged = fc.tuple(fc.boolean(), fc.boolean());
    const ops = fc.array(op, { minLength: 4, maxLength: 30, size: "max" });
    fc.assert(fc.property(first, logged, ops, compare), { numRuns: 100 });
  });
});

import { FOUR_LEVEL, type Geometry, TINY } from "@mmu-notifier/core";
import type { Path, Step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  InvalidateCounters,
  type Memslot,
  MEMSLOT_LOG_DIRTY,
  Memslots,
  SequenceCount,
  ShadowTable,
  SPTE_ACCESSED,
  SPTE_DIRTY,
  SPTE_HOST_WRITABLE,
  SPTE_MMU_WRITABLE,
  SPTE_PRESENT,
  SPTE_WRITABLE,
} from "../src/index.js";
import { hardware } from "./context.js";

/** A shadow entry in words. */
interface Entry {
  pfn: number;
  writable: boolean;
  accessed: boolean;
  dirty: boolean;
  hostWritable: boolean;
  mmuWritable: boolean;
}

const gfn = fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, fc.nat(15));
const range = fc.tuple(gfn, fc.integer({ min: 0, max: 6 })).map(([start, pages]) => ({ start, end: start + pages }));
const bool = fc.boolean();

describe("ShadowTable against a map of entries", () => {
  const op = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("install" as const),
        gfn,
        pfn: fc.integer({ min: 1, max: 3 }),
        hostWritable: bool,
        writeProtected: bool,
        write: bool,
      }),
    },
    fc.record({ do: fc.constantFrom("zap", "writeProtect", "age", "young"), range }),
    fc.record({ do: fc.constantFrom("touch", "fix", "sync"), gfn, write: bool }),
  );

  it.each([
    ["two levels", TINY, 0],
    ["two levels that begin above 0", { ...TINY, first: 32 }, 32],
    ["four levels", FOUR_LEVEL, 0],
  ] as const)("keeps, counts and takes alike with %s", (_, geometry: Geometry, first) => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 3, maxLength: 30, size: "max" }), (ops) => {
        const { context, seen } = hardware(geometry);
        const table = new ShadowTable(context, first);
        const model = new Map<number, Entry>();
        const evicted: number[] = [];
        const within = ({ start, end }: { start: number; end: number }) =>
          [...model].filter(([at]) => at >= start && at < end).sort(([a], [b]) => a - b);
        for (const next of ops) {
          if (next.do === "install") {
            const { pfn, write, ...rights } = next;
            const at = first + next.gfn;
            const before = model.get(at);
            model.set(at, {
              pfn,
              accessed: true,
              dirty: before?.pfn === pfn && before.dirty,
              hostWritable: rights.hostWritable,
              mmuWritable: rights.hostWritable,
              writable: rights.hostWritable && (!rights.writeProtected || write),
            });
            expect(table.install(at, pfn, { ...rights, write })).toBe(table.get(at));
          } else if ("range" in next) {
            const { start, end } = { start: first + next.range.start, end: first + next.range.end };
            const entries = within({ start, end });
            switch (next.do) {
              case "zap":
                for (const [at] of entries) model.delete(at);
                evicted.push(...entries.map(([at]) => at));
                expect(table.zap(start, end)).toBe(entries.length);
                break;
              case "writeProtect": {
                const had = entries.filter(([, entry]) => entry.writable);
                for (const [, entry] of had) [entry.writable, entry.dirty] = [false, false];
                expect(table.writeProtect(start, end)).toBe(had.length);
                break;
              }
              default: {
                const young = entries.filter(([, entry]) => entry.accessed);
                expect(table.young(start, end)).toBe(young.length);
                if (next.do === "young") break;
                for (const [, entry] of young) entry.accessed = false;
                expect(table.age(start, end)).toBe(young.length);
              }
            }
          } else {
            const at = first + next.gfn;
            const entry = model.get(at);
            switch (next.do) {
              case "touch":
                if (entry === undefined) break;
                table.touch(at, next.write);
                entry.accessed = true;
                if (next.write && entry.writable) entry.dirty = true;
                break;
              case "fix": {
                const can = entry !== undefined && entry.hostWritable && entry.mmuWritable;
                if (can) [entry.writable, entry.dirty] = [true, true];
                expect(table.fixWriteProtection(at)).toBe(can);
                break;
              }
              default:
                table.sync(at, next.write);
                if (entry !== undefined && !next.write) [entry.writable, entry.mmuWritable] = [false, false];
            }
          }
          const held = table.entries();
          expect(held.map(({ gfn: at }) => table.get(at))).toEqual(held.map(({ spte }) => spte | SPTE_PRESENT));
          const entries = held.map(({ gfn: at, spte }) => {
            const has = (flag: number): boolean => (spte & flag) !== 0;
            const entry: Entry = {
              pfn: ShadowTable.pfn(spte),
              accessed: has(SPTE_ACCESSED),
              dirty: has(SPTE_DIRTY),
              writable: has(SPTE_WRITABLE),
              hostWritable: has(SPTE_HOST_WRITABLE),
              mmuWritable: has(SPTE_MMU_WRITABLE),
            };
            return [at, entry];
          });
          expect(entries).toEqual(within({ start: 0, end: Infinity }));
        }
        expect(seen).toEqual(evicted.map((vpn) => ({ kind: "evict", cache: "spte", asid: 0, vpn, needless: false })));
      }),
      { numRuns: 80 },
    );
  });
});

describe("Memslots against a list of slots", () => {
  const op = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("add" as const),
        slot: fc.record({
          gfn: fc.nat(20),
          vpn: fc.nat(20),
          pages: fc.nat(4),
          flags: fc.constantFrom(0, MEMSLOT_LOG_DIRTY),
        }),
      }),
    },
    fc.record({ do: fc.constantFrom("remove", "flag"), pick: fc.nat(5) }),
  );

  it("finds frames and pages alike, slot by slot, and refuses what overlaps", () => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 2, maxLength: 12, size: "max" }), (ops) => {
        const slots = new Memslots(hardware().context.memory);
        const model: (Required<Memslot> | undefined)[] = [];
        const numbers = (): number[] => model.flatMap((slot, index) => (slot === undefined ? [] : [index]));
        for (const next of ops) {
          if (next.do === "add") {
            const { slot } = next;
            const end = slot.gfn + slot.pages;
            const overlaps = model.some(
              (other) => other !== undefined && other.gfn < end && other.gfn + other.pages > slot.gfn,
            );
            if (overlaps || slot.pages === 0) {
              expect(() => slots.add(slot)).toThrow(overlaps && slot.pages > 0 ? "overlap" : "at least one page");
              continue;
            }
            const free = model.indexOf(undefined);
            const index = free < 0 ? model.length : free;
            model[index] = { ...slot };
            expect(slots.add(slot)).toBe(index + 1);
          } else if (numbers().length > 0) {
            const index = numbers()[next.pick % numbers().length]!;
            if (next.do === "remove") {
              slots.remove(index + 1);
              model[index] = undefined;
            } else {
              slots.setFlags(index + 1, 5);
              model[index] = { ...model[index]!, flags: 5 };
            }
          }
          const live = model.flatMap((slot, index) => (slot === undefined ? [] : [{ ...slot, number: index + 1 }]));
          for (const { number, ...slot } of live) expect(slots.get(number)).toEqual(slot);
          const all = Array.from({ length: 25 }, (_, at) => at);
          const byGfn = (at: number) => live.find((slot) => at >= slot.gfn && at < slot.gfn + slot.pages);
          const byVpn = (at: number) => live.find((slot) => at >= slot.vpn && at < slot.vpn + slot.pages);
          expect(all.map((at) => slots.ofGfn(at))).toEqual(all.map((at) => byGfn(at)?.number ?? 0));
          expect(all.map((at) => slots.vpnOf(at))).toEqual(
            all.map((at) => byGfn(at)).map((slot, at) => (slot === undefined ? -1 : slot.vpn + at - slot.gfn)),
          );
          expect(all.map((at) => slots.gfnOf(at))).toEqual(
            all.map((at) => byVpn(at)).map((slot, at) => (slot === undefined ? -1 : slot.gfn + at - slot.vpn)),
          );
          for (const pages of [0, 1, 5]) {
            const pieces = (start: number) =>
              live.flatMap((slot) => {
                const inside = Array.from({ length: slot.pages }, (_, i) => i).filter(
                  (i) => slot.vpn + i >= start && slot.vpn + i < start + pages,
                );
                if (inside.length === 0) return [];
                return [{ start: slot.gfn + inside[0]!, end: slot.gfn + inside.at(-1)! + 1 }];
              });
            expect(all.map((start) => slots.overlaps(start, start + pages))).toEqual(all.map(pieces));
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("InvalidateCounters against numbers", () => {
  const ranges = fc.array(
    range.filter(({ start, end }) => end > start),
    { minLength: 1, maxLength: 2 },
  );
  const op = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("begin" as const), ranges }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("end", "freeze", "thaw") }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("faults", "raises", "resolves"), task: fc.nat(3) }) },
  );

  it("counts, retries and says whose fault it was alike", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(3, 30),
        fc.array(op, { minLength: 3, maxLength: 30, size: "max" }),
        (seqBits, ops) => {
          const { context, seen } = hardware();
          const counters = new InvalidateCounters(context, { seqBits });
          let [active, inProgress, seq, from, to, bugged] = [0, 0, 0, 0, 0, false];
          const errors: string[] = [];
          const faulting = new Map<number, boolean>();
          for (const next of ops) {
            switch (next.do) {
              case "begin":
                if (bugged) continue;
                if (inProgress++ === 0) [from, to] = [Infinity, 0];
                for (const { start, end } of next.ranges) [from, to] = [Math.min(from, start), Math.max(to, end)];
                counters.begin(next.ranges);
                break;
              case "end":
                if (bugged) continue;
                inProgress--;
                seq = (seq + 1) % 2 ** seqBits;
                if (inProgress < 0) {
                  bugged = true;
                  errors.push("KVM_BUG_ON");
                }
                counters.end();
                break;
              case "freeze":
                active++;
                counters.freeze();
                break;
              case "thaw":
                if (active === 0) errors.push("WARN_MN_ACTIVE");
                else active--;
                counters.thaw();
                break;
              case "faults":
                if (!faulting.has(next.task)) faulting.set(next.task, false);
                counters.faultBegins(next.task);
                break;
              case "raises":
                if (faulting.has(next.task)) faulting.set(next.task, true);
                counters.raisedBy(next.task);
                break;
              case "resolves":
                expect(counters.faultEnds(next.task)).toBe(faulting.get(next.task) ?? false);
                faulting.delete(next.task);
            }
            expect([counters.mnActive, counters.inProgress, counters.seq, counters.bugged]).toEqual([
              active,
              inProgress,
              seq,
              bugged,
            ]);
            if (bugged) continue;
            const frames = Array.from({ length: 24 }, (_, frame) => frame);
            expect(frames.filter((frame) => counters.retry(seq, frame))).toEqual(
              frames.filter((frame) => inProgress > 0 && frame >= from && frame < to),
            );
            expect(frames.filter((frame) => counters.retry(seq + 1, frame))).toEqual(frames);
          }
          expect(seen.map((event) => (event.kind === "error" ? event.code : event.kind))).toEqual(errors);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("has a sequence that comes round", () => {
    const counters = new InvalidateCounters(hardware().context, { seqBits: 3 });
    const seen: number[] = [];
    for (let end = 0; end < 9; end++) {
      counters.begin([{ start: 0, end: 1 }]);
      counters.end();
      seen.push(counters.seq);
    }

    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 0, 1]);
  });

  it("retries while something is in progress whose hull nobody set", () => {
    const counters = new InvalidateCounters(hardware().context);
    counters.begin([]);

    expect(counters.retry(counters.seq, 5)).toBe(true);
  });
});

describe("SequenceCount", () => {
  it("is odd between begin and end, wraps, and retries readers that were overtaken or began inside", () => {
    const { context, scheduler } = hardware();
    const words = context.memory.words("seq", 4);
    const count = new SequenceCount(words, 2, 2);
    function* only(step: Step): Path<number> {
      return yield step;
    }
    const run = (step: Step): number => scheduler.run(only(step));
    const seen: number[] = [];
    for (let writes = 0; writes < 3; writes++) {
      const before = run(count.readBegin());
      expect(run(count.readRetry(before))).toBe(0);
      seen.push(run(count.writeBegin()));
      const during = run(count.readBegin());
      expect([count.retries(before), count.retries(during)]).toEqual([true, true]);
      seen.push(run(count.writeEnd()));
      expect([run(count.readRetry(before)), run(count.readRetry(during))]).toEqual([1, 1]);
      expect(words.get(2)).toBe(seen.at(-1));
    }
    expect(seen).toEqual([1, 2, 3, 0, 1, 2]);
  });
});

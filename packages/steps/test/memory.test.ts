import { Memory, MemoryError, Vectors } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

describe("Segment", () => {
  it("hands out the lowest free row, never row 0", () => {
    const segment = new Memory().segment("rows", 4);
    expect([segment.alloc(), segment.alloc(), segment.alloc()]).toEqual([1, 2, 3]);

    segment.free(2);

    expect(segment.alloc()).toBe(2);
    expect(segment.alloc()).toBe(4);
  });

  it("leaves the same words behind whatever order rows were freed in", () => {
    const words = (order: readonly number[]): number[] => {
      const memory = new Memory();
      const segment = memory.segment("rows", 4, 1);
      for (let i = 0; i < 4; i++) segment.i32[segment.alloc() * 4 + 1] = 7;
      for (const row of order) segment.free(row);
      return [...memory.save()];
    };

    expect(words([1, 2, 3, 4])).toEqual(words([4, 3, 2, 1]));
    expect(words([2, 4, 1, 3])).toEqual(words([1, 2, 3, 4]));
  });

  it("refuses to free a row that is not allocated, naming the segment and the row", () => {
    const segment = new Memory().segment("frames", 4);
    const row = segment.alloc();
    segment.free(row);

    expect(() => segment.free(row)).toThrow(MemoryError);
    expect(() => segment.free(row)).toThrow(/segment frames: row 1/);
  });

  it("refuses an odd or too narrow row", () => {
    expect(() => new Memory().segment("odd", 5)).toThrow(/even number of words/);
    expect(() => new Memory().segment("narrow", 2)).toThrow(MemoryError);
  });

  it("finds the lowest naturally aligned run", () => {
    const segment = new Memory().segment("frames", 4);
    segment.alloc();
    expect(segment.allocRun(4, 4)).toBe(4);
    expect(segment.alloc()).toBe(2);

    segment.free(5);

    expect(segment.allocRun(4, 4)).toBe(8);
    expect(segment.live).toBe(9);
  });
});

describe("Memory", () => {
  it("restores what it saved, also after growing and shrinking", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat(30), fc.integer()), { maxLength: 60 }),
        fc.nat(59),
        (script, cut) => {
          const memory = new Memory();
          const tables = [memory.segment("a", 4, 1), memory.segment("b", 6, 1)];
          let saved = memory.save();
          script.forEach(([add, pick, value], index) => {
            const table = tables[pick % 2]!;
            if (add || table.live === 0) table.i32[table.alloc() * table.stride + 1] = value;
            else {
              const live = [...Array(table.used).keys()].filter((row) => table.isLive(row));
              table.free(live[pick % live.length]!);
            }
            if (index === cut) saved = memory.save();
          });

          memory.restore(saved);

          expect(memory.equals(saved)).toBe(true);
          expect([...memory.save()]).toEqual([...saved]);
          for (const table of tables) expect(table.i32.subarray(table.words).every((word) => word === 0)).toBe(true);
        },
      ),
    );
  });

  it("empties segments that came after the snapshot", () => {
    const memory = new Memory();
    memory.segment("first", 4).alloc();
    const saved = memory.save();
    const late = memory.segment("late", 4);
    late.alloc();

    memory.restore(saved);

    expect(late.live).toBe(0);
    expect(late.alloc()).toBe(1);
  });

  it("sees a single changed word", () => {
    const memory = new Memory();
    const segment = memory.segment("a", 4);
    const row = segment.alloc();
    const saved = memory.save();

    segment.i32[row * 4 + 3] = 1;

    expect(memory.equals(saved)).toBe(false);
  });
});

describe("Vectors", () => {
  it("behaves like an array under any sequence of operations", () => {
    const operation = fc.oneof(
      fc.record({ op: fc.constant("insert" as const), index: fc.nat(20), value: fc.integer({ min: 1 }) }),
      fc.record({ op: fc.constant("removeAt" as const), index: fc.nat(20), value: fc.constant(0) }),
      fc.record({ op: fc.constant("set" as const), index: fc.nat(20), value: fc.integer({ min: 1 }) }),
      fc.record({ op: fc.constant("truncate" as const), index: fc.nat(20), value: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const vectors = new Vectors(new Memory(), "lists", 2);
        const other = vectors.create();
        const list = vectors.create();
        vectors.set(other, 0, 99);
        const model: number[] = [];
        for (const { op, index, value } of operations) {
          if (op === "insert") {
            vectors.insert(list, Math.min(index, model.length), value);
            model.splice(Math.min(index, model.length), 0, value);
          } else if (op === "removeAt" && model.length > 0) {
            vectors.removeAt(list, index % model.length);
            model.splice(index % model.length, 1);
          } else if (op === "set") {
            while (model.length < index) model.push(0);
            model[index] = value;
            vectors.set(list, index, value);
          } else if (op === "truncate") {
            model.length = Math.min(model.length, index);
            vectors.truncate(list, index);
          }
          expect(Array.from({ length: vectors.length(list) }, (_, i) => vectors.at(list, i))).toEqual(model);
        }
        expect(vectors.at(other, 0)).toBe(99);
      }),
    );
  });

  it("comes back as it was before its rows grew wider", () => {
    const memory = new Memory();
    const vectors = new Vectors(memory, "lists", 2);
    const list = vectors.create();
    const other = vectors.create();
    vectors.insert(list, 0, 7);
    vectors.insert(other, 0, 8);
    const saved = memory.save();

    for (let i = 0; i < 20; i++) vectors.insert(list, i, i + 1);
    memory.restore(saved);

    expect([vectors.length(list), vectors.at(list, 0), vectors.length(other), vectors.at(other, 0)]).toEqual([
      1, 7, 1, 8,
    ]);
    expect(vectors.create()).toBe(other + 1);
  });

  it("survives a snapshot taken after it grew", () => {
    const memory = new Memory();
    const vectors = new Vectors(memory, "lists", 2);
    const list = vectors.create();
    for (let i = 0; i < 20; i++) vectors.insert(list, i, i + 1);
    const saved = memory.save();

    vectors.truncate(list, 3);
    memory.restore(saved);

    expect(vectors.length(list)).toBe(20);
    expect(vectors.at(list, 19)).toBe(20);
  });

  it("refuses an index beyond the end", () => {
    const vectors = new Vectors(new Memory(), "lists");
    const list = vectors.create();

    expect(() => vectors.insert(list, 1, 5)).toThrow(/index 1 is not below 1/);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mmput, pteNone, pteSpecial, pteWrite, type Thread } from "@mmu-notifier/core";
import { FaultMachine } from "./fault-machine.js";

const PAGES = 8;
/** Pages of the three mappings of {@link machine}: private, shared memory, private file. */
const PRIVATE = 0;
const SHARED = 16;
const FILE = 32;

type Operation =
  | { readonly kind: "read" | "write" | "gup"; readonly page: number; readonly who: number; readonly value: number }
  | { readonly kind: "fork" | "reap"; readonly who: number }
  | { readonly kind: "protect"; readonly page: number; readonly writable: boolean };

const page = fc.tuple(fc.constantFrom(PRIVATE, SHARED, FILE), fc.nat(PAGES - 1)).map(([base, at]) => base + at);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("read", "write"),
      page,
      who: fc.nat(2),
      value: fc.integer({ min: 1, max: 99 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("gup" as const), page, who: fc.constant(0), value: fc.constant(0) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("fork", "reap"), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("protect" as const), page, writable: fc.boolean() }) },
);

/** One process and its children, with the contents that each must see. */
class Model {
  readonly m: FaultMachine;
  readonly people: ({ readonly t: Thread; readonly bytes: Map<number, number> } | undefined)[] = [];
  readonly readOnly = new Set<number>();

  constructor(profile: string, arch: string, subscribe = true) {
    this.m = new FaultMachine(profile, arch, { subscribe });
    this.m.map({ start: PRIVATE, pages: PAGES });
    this.m.map({ start: SHARED, pages: PAGES, shared: true });
    this.m.map({ start: FILE, pages: PAGES, file: this.m.disk(PAGES) });
    this.people.push({ t: this.m.t, bytes: new Map(Array.from({ length: PAGES }, (_, at) => [FILE + at, 100 + at])) });
  }

  /** Applies one operation and returns what the parent's subscribers were told and whether it read or wrote. */
  apply(op: Operation): { readonly told: string[]; readonly by: number } {
    const { m, people } = this;
    switch (op.kind) {
      case "fork": {
        if (people.length > 3) return { told: [], by: -1 };
        const told = m.told(() => people.push({ t: m.fork(), bytes: new Map(people[0]!.bytes) }));
        return { told, by: -1 };
      }
      case "reap": {
        const child = people[op.who + 1];
        if (child === undefined) return { told: [], by: -1 };
        people[op.who + 1] = undefined;
        return { told: m.told(() => m.run(mmput(m.k, child.t))), by: -1 };
      }
      case "protect": {
        // Only the parent's: children have the rights of the moment they were forked.
        const told = m.told(() => m.protect(op.page, 1, op.writable ? "rw" : "r"));
        if (op.writable) this.readOnly.delete(op.page);
        else this.readOnly.add(op.page);
        return { told, by: -1 };
      }
      case "gup":
        return { told: m.told(() => m.gup(op.page, {})), by: 0 };
      case "read":
      case "write": {
        const who = people[op.who];
        if (who === undefined) return { told: [], by: -1 };
        const told = m.told(() => this.#access(op.kind === "write", op.page, op.value, who));
        return { told, by: op.who };
      }
    }
  }

  #access(
    writes: boolean,
    at: number,
    value: number,
    who: { readonly t: Thread; readonly bytes: Map<number, number> },
  ): void {
    const before = who.bytes.get(at) ?? 0;
    const result = writes ? this.m.write(at, value, who.t) : this.m.read(at, who.t);
    if (!writes) {
      expect(result).toBe(before);
      return;
    }
    if (result === "SEGV 2") return;
    expect(result).toBe(value);
    const shared = at >= SHARED && at < SHARED + PAGES;
    for (const other of this.people) if (other !== undefined && (shared || other === who)) other.bytes.set(at, value);
  }
}

const profiles = [
  "v5.10",
  "v6.1",
  "v6.4",
  "v6.4+upgrade-event",
  "v6.4+upgrade-event-fixed",
  "v6.12",
  "v6.18",
  "v7.3",
] as const;
const where = fc.tuple(fc.constantFrom(...profiles), fc.constantFrom("arm64", "arm64-hafdbs", "x86-64", "riscv64"));
const script = fc.array(operation, { maxLength: 40 });

describe("random accesses of a family of processes", () => {
  it("everybody reads what was written last, and reading announces no range outside the patch", () => {
    fc.assert(
      fc.property(where, script, ([profile, arch], ops) => {
        const model = new Model(profile, arch);
        for (const op of ops) {
          const { told } = model.apply(op);
          const starts = told.filter((what) => what.startsWith("start") && !what.includes("UPGRADE"));
          if (op.kind === "read" || op.kind === "gup") expect(starts).toEqual([]);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("every start has its end, and a write announces at most the page that it replaces", () => {
    fc.assert(
      fc.property(where, script, ([profile, arch], ops) => {
        const model = new Model(profile, arch);
        for (const op of ops) {
          const before = "page" in op ? model.m.pfn(op.page) : 0;
          const { told, by } = model.apply(op);
          const open = new Map<string, number>();
          for (const what of told) {
            const [verb, event, range] = what.split(" ");
            if (verb === "start") open.set(`${event} ${range}`, (open.get(`${event} ${range}`) ?? 0) + 1);
            if (verb === "end" || verb === "only_end")
              open.set(`${event} ${range}`, open.get(`${event} ${range}`)! - 1);
          }
          expect([...open.values()].every((count) => count === 0)).toBe(true);
          if (op.kind !== "write" || by !== 0) continue;
          const clears = told.filter((what) => what.startsWith("start CLEAR"));
          const replaced = before !== 0 && model.m.pfn(op.page) !== before;
          expect(clears).toEqual(replaced ? [`start CLEAR ${op.page}..${op.page + 1}`] : []);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("the repaired patch announces exactly the rights that were gained", () => {
    fc.assert(
      fc.property(fc.constantFrom("arm64", "riscv64", "x86-64"), script, (arch, ops) => {
        const model = new Model("v6.4+upgrade-event-fixed", arch);
        for (const op of ops) {
          const { told } = model.apply(op);
          const gained = told.filter((what) => what.startsWith("gain")).map((what) => what.split(" ")[1]);
          const announced = told
            .filter((what) => what.startsWith("start PROTECTION_UPGRADE"))
            .map((what) => what.split(" ")[2]);
          expect(announced).toEqual(gained);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("since v6.6 arm64 tells secondary TLBs of every right that is gained", () => {
    fc.assert(
      fc.property(fc.constantFrom("v6.12", "v6.18", "v7.3"), script, (profile, ops) => {
        const model = new Model(profile, "arm64");
        for (const op of ops) {
          const { told } = model.apply(op);
          for (const what of told) if (what.startsWith("gain")) expect(told).toContain(`hook ${what.split(" ")[1]}`);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("an entry is writable only to whoever has the page to itself, or shares it on purpose", () => {
    fc.assert(
      fc.property(where, script, ([profile, arch], ops) => {
        const model = new Model(profile, arch);
        for (const op of ops) model.apply(op);
        const { m, people } = model;
        for (let at = PRIVATE; at < PRIVATE + PAGES; at++) {
          const users = people.filter(
            (who) => who !== undefined && !pteNone(m.pte(at, who.t)) && !pteSpecial(m.pte(at, who.t)),
          );
          for (const who of users) {
            if (!pteWrite(m.pte(at, who!.t))) continue;
            expect(users.filter((other) => m.pfn(at, other!.t) === m.pfn(at, who!.t))).toEqual([who]);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it("no frame is lost or freed twice when all are gone", () => {
    fc.assert(
      fc.property(where, script, ([profile, arch], ops) => {
        // A subscriber would hold on to the mm.
        const model = new Model(profile, arch, false);
        for (const op of ops) model.apply(op);
        const { m, people } = model;
        for (const who of people) if (who !== undefined) m.run(mmput(m.k, who.t));

        // The zero page, and the cache of the one file that the test itself holds open.
        expect(m.k.pages.segment.live).toBe(1 + PAGES);
        expect(m.k.tables.segment.live).toBe(0);
        expect(m.k.vmas.segment.live).toBe(0);
        expect(m.k.anonVmas.segment.live).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it("a machine that was saved and put back goes on alike", () => {
    fc.assert(
      fc.property(where, script, script, ([profile, arch], before, after) => {
        const model = new Model(profile, arch);
        for (const op of before) model.apply(op);
        const people = model.people.map((who) =>
          who === undefined ? undefined : { t: who.t, bytes: new Map(who.bytes) },
        );
        const state = model.m.k.memory.save();
        const first = after.map((op) => model.apply(op).told);
        model.m.k.memory.restore(state);
        model.people.splice(0, model.people.length, ...people);
        const second = after.map((op) => model.apply(op).told);

        expect(second).toEqual(first);
      }),
      { numRuns: 40 },
    );
  });
});

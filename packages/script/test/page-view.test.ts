import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ARENA_PAGE, PageView, parseScripts, ScriptSession } from "../src/index.js";

const ARENA = 1600;

/** Ops that fill, empty, move and split tables and huge entries. */
const op = fc.oneof(
  fc
    .tuple(fc.constantFrom(0, 512, 1024), fc.constantFrom(1, 40, 512, 1024))
    .map(([start, pages]) => `map ${start} ${pages} rw- p anon`),
  fc.constantFrom(0, 512, 1024).map((start) => `advise ${start} 512 hugepage`),
  fc.tuple(fc.nat(ARENA - 1), fc.constantFrom(1, 3, 600)).map(([start, pages]) => `write ${start} ${pages}`),
  fc.tuple(fc.nat(ARENA - 1), fc.constantFrom(1, 100, 512)).map(([start, pages]) => `unmap ${start} ${pages}`),
  fc.tuple(fc.nat(ARENA - 1), fc.constantFrom(1, 100)).map(([start, pages]) => `protect ${start} ${pages} r--`),
  fc.nat(ARENA - 1).map((start) => `advise ${start} 20 dontneed`),
  fc.constant("fork"),
);

describe("the pages of an arena", () => {
  it("are what a view that is made afresh sees, whatever was looked at before", () => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 1, maxLength: 14 }), (ops) => {
        const [script] = parseScripts(["== pages arena 1600", ...ops].join("\n"));
        const session = new ScriptSession(script!, { kernel: "v6.18", arch: "x86-64", snapshots: false });
        const { kernel } = session.machine;
        const kept = new PageView(kernel, session.mm, ARENA_PAGE, ARENA);
        for (const statement of script!.statements) {
          session.run(statement);
          kept.refresh();
          const fresh = new PageView(kernel, session.mm, ARENA_PAGE, ARENA);
          fresh.refresh();
          expect(kept.used).toBe(fresh.used);
          for (const column of ["pte", "pfn", "level"] as const) expect(kept[column]).toEqual(fresh[column]);
        }
        session.close();
      }),
      { numRuns: 30 },
    );
  });
});

import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeLitmus, litmusFromHerd, LitmusSyntaxError, readLitmus, UnsupportedError } from "../../src/index.js";

const folder = new URL("../../litmus/", import.meta.url);
const own = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), "utf8"));

/** Reads and runs; anything but the two errors that say what is wrong is a mistake of ours. */
function survives(text: string): void {
  try {
    for (const item of readLitmus(text)) judgeLitmus(item, { maxStates: 300 });
  } catch (error) {
    expect(error).toBeInstanceOf(LitmusSyntaxError);
  }
}

/** A piece of text that tests are made of. */
const piece = fc.oneof(
  fc.constantFrom(
    ..."{ } ( ) [ ] ; | ~ , = : # /\\ \\/ <> exists forall locations fault(P0:L0,x) P0 P1 0:X1 PTE(x) pte_x (oa:PA(x),valid:0) x".split(
      " ",
    ),
    ..."LDR STR STLR SWPAL LDADD TLBI VAAE1IS, VMALLE1 DSB ISH DMB ISB MOV ADD LSL LSR CBZ B L0: W0 XZR [X2] [X2,X3] #1 99999999999".split(
      " ",
    ),
  ),
  fc.string({ maxLength: 3 }),
);

describe("the readers, whatever they are given", () => {
  it("refuse any text with one of two errors", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ unit: "binary" }),
          fc.array(piece).map((all) => all.join(" ")),
        ),
        (text) => {
          try {
            litmusFromHerd(text);
          } catch (error) {
            expect(error instanceof LitmusSyntaxError || error instanceof UnsupportedError).toBe(true);
          }
          survives(text);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("read or refuse tests with something cut out or put in", () => {
    const changed = fc
      .tuple(fc.constantFrom(...own), fc.nat(), fc.nat(30), fc.array(piece, { maxLength: 3 }))
      .map(([text, at, length, pieces]) => {
        const from = at % text.length;
        return text.slice(0, from) + pieces.join(" ") + text.slice(from + length);
      });

    fc.assert(fc.property(changed, survives), { numRuns: 500 });
  });

  it("read or refuse JSON of any form", () => {
    const value: fc.Arbitrary<unknown> = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(0, 1, -1, 31, 1e9, 0.5, "x", "is", { va: "x" }, { pte: "x" }, { pte: { oa: "x" } }, { r: 1 }),
    );
    const operation = fc.tuple(
      fc.constantFrom("set", "page", "alu", "load", "store", "swap", "invalidate", "dsb", "cmp", "jumpIfZero", "jump"),
      value,
      value,
      value,
    );
    const condition = fc.tuple(fc.constantFrom("and", "or", "not", "reg", "mem", "pte", "fault"), value, value, value);
    const test = fc.record({
      name: fc.constant("any"),
      init: fc.record({
        mem: fc.dictionary(fc.constantFrom("x", "y"), value),
        pte: fc.dictionary(fc.constantFrom("x", "y"), value),
        regs: fc.dictionary(fc.constantFrom("0:1", "0:2", "7:1"), value),
      }),
      threads: fc.array(fc.record({ ops: fc.array(operation.map((all) => all.slice(0, 3))) }), { maxLength: 2 }),
      cond: fc.tuple(fc.constantFrom("exists", "forall"), condition),
    });

    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.record({ tests: fc.array(test) }).map((json) => JSON.stringify(json)),
        ),
        survives,
      ),
      {
        numRuns: 500,
      },
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OPS, parseScripts, ScriptError } from "../src/index.js";

/** Fails on anything that is thrown but a ScriptError with a place inside the source. */
function reads(source: string | Uint8Array): void {
  try {
    const scripts = parseScripts(source, { file: "f.mm" });
    for (const script of scripts)
      expect(script.statements.map(({ index }) => index)).toEqual(script.statements.map((_, i) => i));
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    expect(error.line).toBeGreaterThanOrEqual(1);
    expect(error.column).toBeGreaterThanOrEqual(1);
    expect(error.message).toMatch(/^f\.mm:\d+:\d+: /);
  }
}

const SCRIPT = `kernel v6.4
arch arm64
device smmu0 driver arm-smmu ats stall=false
== upgrade arena 16
map 0 4 rw- p anon
writer 0 4
fork c1
dev smmu0 read 0
thread A {
  write 0
}
thread B {
  remap 0 4 4 fixed 8
  dev smmu0 write 3 1
}
cwrite c1 0
mapx 4096 8192 rw- 0x32 none 0
map 0 8 rw shared fd=f
uffdreg 0 4 missing,wp
reap c1
exit
`;

describe("the parser, whatever it is given,", () => {
  it("throws nothing but ScriptError for arbitrary bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), reads));
  });

  it("throws nothing but ScriptError for arbitrary text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), reads));
  });

  it("throws nothing but ScriptError for a real script with a part cut, doubled or replaced", () => {
    const place = fc.nat({ max: SCRIPT.length });
    fc.assert(
      fc.property(
        place,
        place,
        fc.oneof(
          fc.constant(""),
          fc.string({ maxLength: 20 }),
          place.map((at) => SCRIPT.slice(at, at + 30)),
        ),
        (a, b, part) => {
          reads(SCRIPT.slice(0, Math.min(a, b)) + part + SCRIPT.slice(Math.max(a, b)));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("throws nothing but ScriptError for ops with words from the language in any order", () => {
    const words = [
      ...new Set([
        ...OPS.map(({ name }) => name),
        ...SCRIPT.split(/\s+/),
        "0x",
        "-1",
        "1e9",
        "18446744073709551616",
        "__proto__",
        "fd=",
      ]),
    ];
    const line = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 8 }).map((parts) => parts.join(" "));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => reads(lines.join("\n"))),
      { numRuns: 1000 },
    );
  });
});

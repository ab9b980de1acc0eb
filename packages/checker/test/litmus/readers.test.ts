import { describe, expect, it } from "vitest";
import { compareOutcomes, type JsonTest, litmusFromHerd, litmusFromJson, runLitmus } from "../../src/index.js";

const herd = (body: string, init = "0:X3=x;", condition = "exists (0:X4=1)"): string =>
  `AArch64 sample\n{ ${init} }\n P0 ;\n ${body} ;\n${condition}\n`;

describe("herd's syntax", () => {
  it("gives what is observed as herd prints it", () => {
    const test = litmusFromHerd(
      herd(
        "L0: STR W4,[X3]",
        "[PTE(x)]=(oa:PA(x), db:0); 0:X4=1; 0:X3=x;",
        "locations [x; PTE(x);] exists (fault(P0:L0,x))",
      ),
    );

    expect(runLitmus(test).outcomes).toEqual([
      ["Fault(P0:L0,x,D-MMU:Permission)", "[PTE(x)]=(oa:PA(x), db:0)", "[x]=0"],
    ]);
  });

  it.each([
    ["LDXR W4,[X3]", 'instruction "LDXR W4,[X3]"'],
    ["LDR W4,[X3,X5]", 'addressing mode of "LDR W4,[X3,X5]"'],
    ["LSR X4,X3,#3", 'instruction "LSR X4,X3,#3"'],
    ["TLBI ASIDE1IS,X4", 'instruction "TLBI ASIDE1IS,X4"'],
  ])("refuses %s by name", (instruction, what) => {
    expect(() => litmusFromHerd(herd(instruction))).toThrowError(`unsupported: ${what} (in sample)`);
  });

  it("refuses other architectures and fault handlers", () => {
    expect(() => litmusFromHerd("X86 a { } P0 ; exists (true)")).toThrowError("unsupported: architecture X86 (in a)");
    expect(() => litmusFromHerd("AArch64 a { } P0 | P0.F ; NOP | NOP ; exists (true)")).toThrowError(
      "unsupported: a fault handler (in a)",
    );
  });

  it.each([
    [herd("NOP", "0:X3=+;"), '"+" is no value'],
    [herd("NOP", "[PTE(x)]=(el0:0);"), '"el0:0" is no field of an entry'],
    [herd("NOP", "", "exists (0:X4=1"), "a parenthesis of the condition is not closed"],
    [herd("NOP", "", "exists (0:X4=1) zzz"), "the condition is not understood"],
    ["AArch64 a { } P0 ; NOP ;", 'does not end with "exists"'],
    ["nothing", "a litmus test begins with"],
  ])("says what it does not understand", (text, what) => {
    expect(() => litmusFromHerd(text)).toThrowError(what);
  });

  it("runs arithmetic, comparisons and jumps", () => {
    const body = [
      "MOV X1,#6",
      "AND X2,X1,#3",
      "EOR X5,X1,X1",
      "ADD X6,X2,X5",
      "CMP X6,#2",
      "CSET X4,EQ",
      "B.NE bad",
      "CBNZ X4,good",
      "bad: MOV X4,#9",
      "good: NOP",
    ].join(" ;\n ");

    expect(runLitmus(litmusFromHerd(herd(body, "", "forall (0:X4=1)"))).verdict).toBe("Required");
  });
});

describe("the JSON form", () => {
  const json: JsonTest = {
    name: "sample",
    init: {
      mem: { x: 0 },
      pte: { x: { oa: "x", valid: 1, af: 1, write: 0 } },
      regs: { "0:1": { pte: { oa: "x", valid: 1, af: 1, write: 1 } }, "0:2": { pte: "x" }, "0:3": { va: "x" } },
    },
    threads: [{ ops: [["store", 1, 2], ["dsb", "ISH"], { label: ["L0"], op: ["store", null, 3] }] }],
    cond: ["exists", ["fault", 0, "L0", "x", null]],
  };
  const recorded = [["Fault(P0:L0,x,D-MMU:Permission)"], ["~Fault(P0:L0,x)"]];

  it("means the same as herd's syntax", () => {
    const result = runLitmus(litmusFromJson(json));

    expect(result).toMatchObject({ verdict: "Allowed", outcomes: recorded });
    expect(compareOutcomes(result, recorded)).toBe("equal");
    expect(compareOutcomes(result, [...recorded, ["more"]])).toBe("subset");
    expect(compareOutcomes(result, recorded.slice(1))).toBe("extra");
  });

  it("refuses rights of EL0, and handlers by name", () => {
    const el0 = { ...json, init: { ...json.init, pte: { x: { oa: "x", valid: 1, af: 1, write: 1, el0: 0 } } } };

    expect(() => litmusFromJson(el0)).toThrowError("unsupported: rights of EL0");
    expect(() => litmusFromJson({ ...json, name: "F+Handled" })).toThrowError("unsupported: a fault handler");
  });
});

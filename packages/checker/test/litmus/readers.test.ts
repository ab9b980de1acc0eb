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
    ["CASAL W4,W5,[X3]", 'instruction "CASAL W4,W5,[X3]"'],
    ["LDR W4,[X3],#8", 'addressing mode of "LDR W4,[X3],#8"'],
    ["LDR W4,[X3,#8]", 'addressing mode of "LDR W4,[X3,#8]"'],
    ["LSR X4,X3,X2", 'instruction "LSR X4,X3,X2"'],
    ["LSR X4,X3,#3", "a shift of an address or an entry by 3"],
    ["TLBI ALLE2IS", 'instruction "TLBI ALLE2IS"'],
    ["DSB FOO", 'instruction "DSB FOO"'],
    ["MOV X40,#1", 'operand "X40" of "MOV X40,#1"'],
    ["MOV X4,#0x1000000", "the number 0x1000000: it has more than 24 bits"],
    ["B nowhere", "a jump to nowhere, which is not in it (P0)"],
  ])("refuses %s by name", (instruction, what) => {
    expect(() => runLitmus(litmusFromHerd(herd(instruction)))).toThrowError(`unsupported: ${what} (in sample)`);
  });

  it.each([
    ["Variant=faultToNext", "variant faulttonext"],
    ["Variant=vmsa,kvm", "variant kvm"],
  ])("refuses %s by name", (line, what) => {
    expect(() => litmusFromHerd(herd("NOP").replace("sample", `sample\n${line}`))).toThrowError(`unsupported: ${what}`);
  });

  it("knows the older names of entries and output addresses, types, pointers and indexed addresses", () => {
    const test = litmusFromHerd(`AArch64 older
{
  int x=1; int *p = &x; uint64_t y=2;
  pte_x=(oa:phy_y,valid:1);
  P0:X0=p; 0:X2=pte_x; pteval_t 0:X5;
}
P0 ;
LDR X1,[X0] ;
EOR X3,X1,X1 ;
LDR W4,[X1,X3,SXTX] ;
LDR X5,[X2] ;
locations [0:X5; [PTE(x)];]
exists P0:X4=2 /\\ not (0:X1<>x)`);

    expect(runLitmus(test)).toMatchObject({
      verdict: "Allowed",
      outcomes: [["0:X1=x", "0:X4=2", "0:X5=(oa:PA(y))", "[PTE(x)]=(oa:PA(y))"]],
    });
  });

  it("works on the bits of an entry that have a place", () => {
    const body = ["LDR X1,[X2]", "MOV X4,#1", "LSL X4,X4,#10", "BIC X5,X1,X4", "STR X5,[X2]", "STCLR X6,[X2]"].join(
      " ;\n ",
    );
    const test = litmusFromHerd(herd(body, "0:X2=PTE(x); 0:X6=1;", "locations [PTE(x);] exists (true)"));

    expect(runLitmus(test).outcomes).toEqual([["[PTE(x)]=(oa:PA(x), af:0, valid:0)"]]);
  });

  it("lets EL0 fault where it has no right", () => {
    const test = litmusFromHerd(`AArch64 user
EL0=P0
{ int x=1; pte_x=(el0:0); 0:X2=x; 1:X2=x; }
P0 | P1 ;
LDR W0,[X2] | LDR W0,[X2] ;
forall fault(P0,x) /\\ 0:X0=0 /\\ ~fault(P1,x) /\\ 1:X0=1`);

    expect(runLitmus(test).verdict).toBe("Required");
  });

  it("tries a handled fault again", () => {
    const handled = (variant: string): string => `AArch64 again
Variant=${variant}
{ [PTE(x)]=(valid:0); 0:X1=(oa:PA(x)); 0:X2=PTE(x); 1:X3=x; }
P0 | P1 ;
STR X1,[X2] | MOV W0,#1 ;
 | STR W0,[X3] ;
exists (fault(P1,x) /\\ x=1)`;

    expect(runLitmus(litmusFromHerd(handled("imprecise"))).verdict).toBe("Allowed");
    expect(runLitmus(litmusFromHerd(handled("precise"))).verdict).toBe("Forbidden");
  });

  it("refuses other architectures and fault handlers", () => {
    expect(() => litmusFromHerd("X86 a { } P0 ; exists (true)")).toThrowError("unsupported: architecture X86 (in a)");
    expect(() => litmusFromHerd("AArch64 a { } P0 | P0.F ; NOP | NOP ; exists (true)")).toThrowError(
      "unsupported: a fault handler (in a)",
    );
  });

  it.each([
    [herd("NOP", "0:X3=+;"), '"+" is no value'],
    [herd("NOP", "[PTE(x)]=(el9:0);"), '"el9:0" is no field of an entry'],
    [herd("NOP", "", "exists (0:X4=1"), "a parenthesis of the condition is not closed"],
    [herd("NOP", "", "exists (0:X4=1) zzz"), "the condition is not understood"],
    [herd("NOP", "3:X1=1;"), "there is no P3"],
    [herd("NOP", "", `exists ${"(".repeat(200)}`), "nested too deeply"],
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
    const el0: JsonTest = {
      ...json,
      init: { ...json.init, pte: { x: { oa: "x", valid: 1, af: 1, write: 1, el0: 0 } } },
    };

    expect(() => litmusFromJson(el0)).toThrowError("unsupported: rights of EL0");
    expect(() => litmusFromJson({ ...json, name: "F+Handled" })).toThrowError("unsupported: a fault handler");
  });
});

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const UPGRADE = {
  name: "upgrade",
  init: {
    mem: { x: 0 },
    pte: { x: { oa: "x", write: 0 } },
    regs: { "0:1": { pte: { oa: "x" } }, "0:2": { pte: "x" }, "0:3": { va: "x" } },
  },
  threads: [{ ops: [["store", 1, 2], ["dsb", "ISH"], ["isb"], { label: ["L0"], op: ["store", null, 3] }] }],
  cond: ["exists", ["fault", 0, "L0", "x", null]],
};
const BOTH = [["Fault(P0:L0,x,D-MMU:Permission)"], ["~Fault(P0:L0,x)"]];
const EL0 = { ...UPGRADE, name: "user", init: { ...UPGRADE.init, pte: { x: { oa: "x", el0: 0 } } } };
const LOAD_BUFFERING = {
  name: "stores-in-order",
  init: {
    mem: { x: 0, y: 0 },
    pte: {},
    regs: { "0:1": { va: "x" }, "0:2": { va: "y" }, "1:1": { va: "x" }, "1:2": { va: "y" } },
  },
  threads: [
    {
      ops: [
        ["set", 0, 1],
        ["store", 0, 1],
        ["store", 0, 2],
      ],
    },
    {
      ops: [
        ["load", 3, 2, "LDR"],
        ["dmb", "LD"],
        ["load", 4, 1, "LDR"],
      ],
    },
  ],
  cond: ["exists", ["and", ["reg", 1, 3, 1], ["reg", 1, 4, 0]]],
  outcomes: { ets2: [0, 1].flatMap((x) => [0, 1].map((y) => [`1:X3=${x}`, `1:X4=${y}`])) },
};

let mmun: Mmun;
let folder: string;

beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-litmus-"));
  const suite = { tests: [{ ...UPGRADE, outcomes: { ets2: BOTH } }, EL0, LOAD_BUFFERING] };
  writeFileSync(at("suite.json.gz"), gzipSync(JSON.stringify(suite)));
  writeFileSync(at("extra.json"), JSON.stringify([{ ...UPGRADE, outcomes: { ets2: BOTH.slice(1) } }]));
  writeFileSync(at("wrong.json"), JSON.stringify([{ ...UPGRADE, threads: [{ ops: [["store", 99, 2]] }] }]));
  writeFileSync(at("cut.json"), '{"tests": [');
  writeFileSync(at("wrong.litmus"), "AArch64 wrong\n{ }\n P0 ;\n NOP ;\n");
  mkdirSync(at("herd"));
  writeFileSync(at("herd/a.litmus"), "AArch64 swap\n{ 0:X1=x; }\n P0 ;\n CASAL W0,W2,[X1] ;\nexists (true)\n");
  writeFileSync(at("herd/b.litmus"), "AArch64 plain\n{ 0:X1=x; }\n P0 ;\n LDR W0,[X1] ;\nexists (0:X0=1)\n");
  writeFileSync(at("kinds.txt"), "plain Forbid\nother Allowed\n");
}, 60_000);

afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);

describe("mmun litmus", () => {
  it("runs the project's own tests, all of which end as they expect", () => {
    const { code, stdout, stderr } = mmun.run(["litmus"]);

    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^the project's own tests {2}(\d+) tests, \d+ states: nothing extra/);
    expect(stdout).toMatch(/verdicts +(\d+) +\1 +0 +0 +100\.0 %/);
  });

  it("compares recorded outcomes, and says by which rule one is stricter and what is unsupported", () => {
    const { code, stdout } = mmun.run(["litmus", at("suite.json.gz"), "--verbose"]);

    expect(code).toBe(0);
    expect(stdout).toMatch(/sets of outcomes +2 +1 +1 +0 +50\.0 %/);
    expect(stdout).toMatch(/stores-in-order +Forbidden +- +stricter +ordering/);
    expect(stdout).toContain("unsupported: rights of EL0 (user)");
  });

  it("ends with 1 and shows the outcome when there is an extra one", () => {
    const { code, stdout } = mmun.run(["litmus", at("extra.json")]);

    expect(code).toBe(1);
    expect(stdout).toContain("1 with extra outcomes");
    expect(stdout).toContain("not recorded: Fault(P0:L0,x,D-MMU:Permission)");
  });

  it("reads folders of herd's tests and a catalogue's verdicts", () => {
    const { code, stdout } = mmun.run(["litmus", at("herd"), "--verdicts", at("kinds.txt")]);

    expect(code).toBe(0);
    expect(stdout).toMatch(/verdicts +1 +1 +0 +0/);
    expect(stdout).toContain('unsupported: instruction "CASAL W0,W2,[X1]" (swap)');
  });

  it("prints one JSON object with --json", () => {
    const { code, stdout } = mmun.run(["litmus", at("suite.json.gz"), "--json"]);

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      agents: "btm",
      sets: [
        {
          name: "suite.json.gz",
          equal: 1,
          subset: 1,
          unsupported: 1,
          tests: [
            { name: "upgrade", status: "equal", verdict: "Allowed" },
            { name: "user", status: "unsupported", unsupported: "rights of EL0" },
            { name: "stores-in-order", status: "subset", missing: ["1:X3=1; 1:X4=0"], reasons: ["ordering"] },
          ],
        },
      ],
    });
  });

  it.each([
    ["wrong.json", "wrong.json: litmus test upgrade: threads.0.ops.0"],
    ["cut.json", "cut.json: no litmus tests: "],
    ["wrong.litmus", 'litmus test wrong: it does not end with "exists"'],
    ["missing.json", "cannot read "],
  ])("ends with 2 and a sentence for %s", (file, message) => {
    const { code, stdout, stderr } = mmun.run(["litmus", at(file)]);

    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("computes the table of the docs page", () => {
    const { code, stdout } = mmun.run(["litmus", "--agents", "all"]);
    const page = readFileSync(join(root, "docs/reference/litmus.md"), "utf8");

    expect(code).toBe(0);
    expect(/```\n(the project's own tests[^]*?)\n```/.exec(page)?.[1]).toBe(stdout.trim());
  });
});

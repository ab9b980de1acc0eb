import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

const corpus = (name: string): string => fileURLToPath(new URL(`../../conformance/corpus/${name}`, import.meta.url));

let mmun: Mmun;
let folder: string;

beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-conform-"));
  const records = gunzipSync(readFileSync(corpus("hand3.jsonl.gz"))).toString();
  writeFileSync(join(folder, "other.jsonl"), records);
  // Every write that faulted as write-protected is recorded as not present.
  writeFileSync(join(folder, "wrong.jsonl"), records.replaceAll(/\["F",(\d+),7\]/g, '["F",$1,6]'));
  writeFileSync(join(folder, "broken.jsonl"), `${records.split("\n", 4).join("\n")}\n{"i":`);
  writeFileSync(join(folder, "elsewhere.jsonl"), '{"name":"a"}\n');
  copyFileSync(corpus("arm64-6.12-random-slice.jsonl.gz"), join(folder, "mine.jsonl.gz"));
}, 60_000);

afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

const conform = (...args: readonly string[]) => mmun.run(["conform", ...args]);

describe("mmun conform", () => {
  it("prints a table of fields and what was left out, and ends with 0 when all is equal", () => {
    const { code, stdout } = conform(corpus("hand3.jsonl.gz"));

    expect(code).toBe(0);
    expect(stdout).toContain("hand3  v6.18 x86-64: 34 scripts, 201 operations, 201 equal in every field (100.00 %)");
    expect(stdout).toMatch(/field +compared +equal/);
    expect(stdout).toMatch(/notifier +201 +201 +100.00 %/);
    expect(stdout).toMatch(/8 +notifier calls outside the arena/);
  });

  it("shows the script up to the step, both sides and what the model did, and ends with 1", () => {
    const { code, stdout } = conform(join(folder, "wrong.jsonl"), "--show", "1");

    expect(code).toBe(1);
    const shown = stdout.slice(stdout.search(/\n {2}\S+, operation \d+\n/));
    expect(shown.match(/, operation \d+\n/g)).toHaveLength(1);
    expect(shown).toMatch(/\n {6}map .*\n(.*\n)* {4}> \w+/);
    expect(shown).toMatch(/\n {4}faults\n {6}expected \[\["F",\d+,6\].*\n {6}got {6}\[\["F",\d+,7\]/);
    expect(shown).toMatch(/on the model:\n(.*\n)* +handle-mm-fault page=/);
  });

  it("shows none with --show 0, and refuses what is no number", () => {
    expect(conform(join(folder, "wrong.jsonl"), "--show", "0").stdout).not.toContain(", operation ");
    expect(conform(corpus("hand3.jsonl.gz"), "--show", "few")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--show few: expected how many divergences to show") as string,
    });
  });

  it("counts one field alone with --only, and says which there are", () => {
    const file = join(folder, "wrong.jsonl");

    expect(conform(file, "--only", "notifier").code).toBe(0);
    expect(conform(file, "--only", "faults").code).toBe(1);
    expect(conform(file, "--only", "fault")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean "faults"') as string,
    });
  });

  it("prints exactly the keys of the summary with --json", () => {
    const { code, stdout } = conform(corpus("hand3.jsonl.gz"), join(folder, "wrong.jsonl"), "--json");

    expect(code).toBe(1);
    const printed = JSON.parse(stdout) as { readonly sets: readonly Record<string, unknown>[] };
    expect(Object.keys(printed)).toEqual(["sets"]);
    expect(printed.sets.map((set) => Object.keys(set))).toEqual([
      ["name", "kernel", "arch", "ops", "equal", "fields"],
      ["name", "kernel", "arch", "ops", "equal", "fields"],
    ]);
    expect(printed.sets[0]).toMatchObject({ name: "hand3", kernel: "v6.18", arch: "x86-64", ops: 201, equal: 201 });
    for (const { fields } of printed.sets)
      for (const counts of Object.values(fields as object))
        expect(Object.keys(counts as object)).toEqual(["compared", "equal"]);
  });

  it("takes a file of another name, with the kernel and architecture that it is told", () => {
    const { code, stdout } = conform(join(folder, "mine.jsonl.gz"), "--kernel", "v6.12", "--arch", "arm64", "--json");

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      sets: [{ name: "mine", kernel: "v6.12", arch: "arm64", ops: 435, equal: 435 }],
    });
    expect(conform(join(folder, "other.jsonl")).code).toBe(0);
  });

  it.each([
    ["broken.jsonl", [], /broken\.jsonl:5: expected a JSON record/],
    ["elsewhere.jsonl", [], /elsewhere\.jsonl:1: expected a header/],
    ["missing.jsonl", [], /cannot read .*missing\.jsonl: there is no such file/],
    ["other.jsonl", ["--kernel", "v6.13"], /v6\.13/],
    ["other.jsonl", ["--arch", "arm46"], /arm46.*Did you mean "arm64"/],
    ["other.jsonl", ["--script", "none"], /expected a script "none" that is compared/],
  ])("ends with 2 and one message for %s %j", (file, args, message) => {
    const { code, stderr } = conform(join(folder, file), ...args);

    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

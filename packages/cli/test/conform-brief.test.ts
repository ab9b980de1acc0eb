import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mmun } from "./mmun.js";

const CORPUS = fileURLToPath(new URL("../../conformance/corpus/", import.meta.url));

let mmun: Mmun;
let folder: string;

beforeAll(async () => {
  mmun = await Mmun.build();
  folder = mkdtempSync(join(tmpdir(), "mmun-conform-"));
}, 60_000);

afterAll(() => {
  mmun.remove();
  rmSync(folder, { recursive: true });
});

describe("mmun conform --brief", () => {
  it("has a line for each set of a folder, by name, and exit code 0 when all is equal", () => {
    const sets = join(folder, "sets");
    mkdirSync(sets);
    for (const set of ["x86-7.3-gtmod", "hand3"])
      symlinkSync(`${CORPUS}${set}.jsonl.gz`, join(sets, `${set}.jsonl.gz`));

    const { code, stdout } = mmun.run(["conform", sets, "--brief"]);

    expect(code).toBe(0);
    const words = stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/).slice(0, 5));
    expect(words.slice(1)).toEqual([
      ["hand3", "v6.18", "x86-64", "201", "201"],
      ["x86-7.3-gtmod", "v7.3", "x86-64", "99", "99"],
    ]);
  }, 60_000);

  it("names scripts that differ with their operations and fields, and exits with 1", () => {
    const set = `${CORPUS}x86-6.1-hand.jsonl.gz`;

    const { code, stdout } = mmun.run(["conform", set, "--brief", "--script", "clear-refs-young"]);

    expect([code, stdout.trim().split("\n").at(-1)?.trim()]).toEqual([1, "clear-refs-young  3, 4  young"]);
  }, 60_000);

  it("refuses a folder without recordings", () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);

    const { code, stderr } = mmun.run(["conform", empty, "--brief"]);

    expect(code).toBe(2);
    expect(stderr).toContain(`in ${empty}, found none`);
  });
});

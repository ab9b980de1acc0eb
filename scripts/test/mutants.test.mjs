import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { mutate } from "../mutants/mutate.mjs";
import { MUTANTS } from "../mutants/table.mjs";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const nameOf = ({ file, says }) => `${file}: ${says}`;

describe("the table of mutants", () => {
  it("has at least 120, 25 of them in the bus, each with a name of its own", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(120);
    expect(MUTANTS.filter(({ file }) => file.startsWith("bus/")).length).toBeGreaterThanOrEqual(25);
    expect(new Set(MUTANTS.map(nameOf)).size).toBe(MUTANTS.length);
  });

  it("changes something in files that are built from sources that exist, and names tests that exist", () => {
    for (const { file, find, replace, tests } of MUTANTS) {
      expect(replace).not.toBe(find);
      const source = file.replace("/dist/", "/src/").replace(/\.js$/, ".ts");
      expect(existsSync(at(`packages/${source}`)), source).toBe(true);
      if (tests !== undefined) expect(existsSync(at(tests)), tests).toBe(true);
    }
  });

  it("has texts that stand in the built files exactly once", () => {
    // Built now, so that no old file is looked at; seconds, and nothing where all is up to date.
    const { status, stdout } = spawnSync(
      process.execPath,
      [at("node_modules/typescript/bin/tsc"), "-b", "tsconfig.build.json"],
      {
        cwd: at(""),
        encoding: "utf8",
      },
    );
    expect(status, stdout).toBe(0);
    const wrong = MUTANTS.flatMap((mutant) => {
      try {
        mutate(readFileSync(at(`packages/${mutant.file}`), "utf8"), mutant);
        return [];
      } catch (error) {
        return [`${nameOf(mutant)}: ${error.message}`];
      }
    });
    expect(wrong).toEqual([]);
  });

  it("tells a text that is not there, or is there twice, from one to change", () => {
    const mutant = { file: "a.js", find: "x", replace: "y" };
    expect(mutate("a x b", mutant)).toBe("a y b");
    expect(() => mutate("a b", mutant)).toThrow("stands 0 times in a.js");
    expect(() => mutate("x x", mutant)).toThrow("stands 2 times");
  });
});

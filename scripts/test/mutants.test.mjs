import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ELSEWHERE, MUTANTS } from "../mutants/table.mjs";

const nameOf = ({ file, says }) => `${file}: ${says}`;

describe("the table of mutants", () => {
  it("has at least sixty, each with a name of its own", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(60);
    expect(new Set(MUTANTS.map(nameOf)).size).toBe(MUTANTS.length);
  });

  it("changes something in files that are built from sources that exist", () => {
    for (const { file, find, replace } of MUTANTS) {
      expect(replace).not.toBe(find);
      const source = file.replace("/dist/", "/src/").replace(/\.js$/, ".ts");
      expect(existsSync(fileURLToPath(new URL(`../../packages/${source}`, import.meta.url))), source).toBe(true);
    }
  });

  it("gives reasons for mutants that it has", () => {
    const names = new Set(MUTANTS.map(nameOf));
    expect(Object.keys(ELSEWHERE).filter((name) => !names.has(name))).toEqual([]);
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { blocksOf, brokenIncludes, commandsOf, modulesOf, pagesOf, shows } from "../check-docs-code.mjs";

const fence = "```";

describe("the pages that are checked", () => {
  it("are those of docs and the READMEs, without what is generated", () => {
    const pages = pagesOf(fileURLToPath(new URL("../..", import.meta.url)));

    expect(pages).toContain("README.md");
    expect(pages).toContain("docs/guide/concepts.md");
    expect(pages).toContain("packages/sdk/README.md");
    expect(pages).toContain("examples/03-write-a-driver/README.md");
    expect(pages.filter((path) => /node_modules|docs\/api/.test(path))).toEqual([]);
  });
});

describe("code blocks", () => {
  const page = `text\n\n${fence}ts\n// a.ts\nconst a = 1;\n${fence}\n\n${fence}console\n$ mmun list\nDrivers\n${fence}\n`;

  it("are found with their language and line", () => {
    expect(blocksOf(page)).toEqual([
      { language: "ts", text: "// a.ts\nconst a = 1;", line: 4 },
      { language: "console", text: "$ mmun list\nDrivers", line: 9 },
    ]);
  });

  it("of docs/ need a file name", () => {
    expect(modulesOf("docs/a.md", page).modules).toEqual([expect.objectContaining({ name: "a.ts", line: 4 })]);
    expect(modulesOf("docs/a.md", `${fence}ts\nlet a;\n${fence}\n`).problems).toEqual([
      expect.stringMatching(/^docs\/a\.md:2: a ts block of the documentation begins with/),
    ]);
  });

  it("of READMEs count when they import", () => {
    const text = `${fence}ts\nlet a;\n${fence}\n${fence}ts\nimport "b";\n${fence}\n`;
    expect(modulesOf("packages/a/README.md", text)).toEqual({
      modules: [expect.objectContaining({ text: 'import "b";', line: 5 })],
      problems: [],
    });
  });
});

describe("commands", () => {
  it("are followed by their output", () => {
    expect(commandsOf({ text: "$ mmun a\none\ntwo\n$ mmun b", line: 10 })).toEqual([
      { command: "mmun a", line: 10, output: ["one", "two"] },
      { command: "mmun b", line: 13, output: [] },
    ]);
  });

  it.each([
    [["a", "b"], ["a", "b"], true],
    [["a"], ["a", "b"], false],
    [["a", "…"], ["a", "b", "c"], true],
    [["…", "c"], ["a", "b", "c"], true],
    [["a", "…", "c"], ["a", "c"], true],
    [["[a, b)"], ["[a, b)"], true],
    [["a.c"], ["abc"], false],
  ])("show %j for %j: %s", (output, printed, expected) => {
    expect(shows(output, printed)).toBe(expected);
  });
});

describe("includes", () => {
  let root;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "docs-"));
    mkdirSync(join(root, "docs/guide"), { recursive: true });
    writeFileSync(join(root, "docs/a.ts"), "// #region one\n// #endregion one\n");
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it.each([
    ["<<< @/a.ts", []],
    ["<<< @/a.ts#one{ts}", []],
    ["<<< @/a.ts#two", ["docs/guide/b.md:1: docs/a.ts has no region two"]],
    ["<<< @/../examples/a.ts {1-2} [a.ts]", ["docs/guide/b.md:1: there is no examples/a.ts"]],
    ["<!--@include: ../a.ts-->", []],
    ["<!-- @include: ../../README.md -->", ["docs/guide/b.md:1: there is no README.md"]],
  ])("%s", (line, problems) => {
    expect(brokenIncludes(root, "docs/guide/b.md", line)).toEqual(problems);
  });
});

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const examples = readdirSync(join(repository, "examples"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

function read(path) {
  return readFileSync(join(repository, path), "utf8");
}

/** The fenced blocks of a markdown text, each with the language after its fence. */
function blocksOf(markdown) {
  return [...markdown.matchAll(/^```(\w*)[^\n]*\n([^]*?)^```$/gm)].map(([, language, text]) => ({ language, text }));
}

afterEach(() => vi.restoreAllMocks());

describe("the README of examples/", () => {
  it.each(examples)("%s shows what the program prints", async (name) => {
    const printed = [];
    vi.spyOn(console, "log").mockImplementation((line) => void printed.push(line));

    await import(pathToFileURL(join(repository, "examples", name, "src/main.ts")).href);

    const [, output] = blocksOf(read(`examples/${name}/README.md`));
    expect(output?.text).toBe(`${printed.join("\n")}\n`);
  });

  it.each(examples)("%s begins with the description of its package.json", (name) => {
    const { description } = JSON.parse(read(`examples/${name}/package.json`));
    expect(read(`examples/${name}/README.md`).split("\n", 1)[0]).toBe(description);
  });

  it.each(examples)("%s is included in a page of the documentation", (name) => {
    expect(read(`docs/examples/${name}.md`)).toContain(`<!--@include: ../../examples/${name}/README.md-->`);
  });
});

describe("README.md", () => {
  it("shows the driver of examples/03-write-a-driver as it is", () => {
    const section = /^## A driver in fifty lines$([^]*?)^## /m.exec(read("README.md"))?.[1] ?? "";
    const block = blocksOf(section).find(({ language }) => language === "ts");
    expect(block?.text).toBe(read("examples/03-write-a-driver/src/driver.ts"));
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { conform, readCorpus } from "@mmu-notifier/conformance";
import { describe, expect, it } from "vitest";

const root = new URL("../../", import.meta.url);
const page = readFileSync(fileURLToPath(new URL("docs/reference/conformance.md", root)), "utf8");
const corpus = fileURLToPath(new URL("packages/conformance/corpus/", root));

/**
 * Sets in the repository; a slice is part of the recording that the page speaks of. The sweeps of stores behind every step of the hand-written
 * scripts take long; `npm run docs:check` runs them for the page's first table.
 */
const sets = readdirSync(corpus)
  .filter((name) => name.endsWith(".jsonl.gz") && !/^hand\d?\.W\./.test(name))
  .map((file) => ({ file, set: file.replace(/(-slice)?(\.W)?\.jsonl\.gz$/, "$2") }));

/** `set script#operation` of every row below a cause. */
const explained = page
  .slice(page.indexOf("## What remains, by cause"))
  .split("\n")
  .filter((line) => /^\| [\w.-]+ \| [\w-]+ \| [\d, ]+ \|$/.test(line))
  .flatMap((line) => {
    const [set, script, operations] = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    return operations.split(", ").map((operation) => ({ set, script, operation: Number(operation) }));
  });

describe("docs/reference/conformance.md", () => {
  it("lists no operation twice", () => {
    const places = explained.map(({ set, script, operation }) => `${set} ${script}#${operation}`);
    expect(places.length).toBeGreaterThan(0);
    expect(new Set(places).size).toBe(places.length);
  });

  it.each(sets)(
    "$file: what differs is listed with its cause, and nothing else",
    async ({ file, set }) => {
      const scripts = new Set();
      for await (const { name } of readCorpus(`${corpus}${file}`)) scripts.add(name);
      const { divergences } = await conform(`${corpus}${file}`);
      const found = divergences.map(({ script, step }) => `${script}#${step}`);
      const listed = explained
        .filter((row) => row.set === set && scripts.has(row.script))
        .map(({ script, operation }) => `${script}#${operation}`);
      expect(found.sort()).toEqual(listed.sort());
    },
    60_000,
  );
});

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

/** What must agree at least, in percent, whatever the page explains. */
function demands({ name, kernel, ops, equal, fields }) {
  const of = (field) => (100 * fields[field].equal) / fields[field].compared;
  if (kernel === "v6.18") {
    const least = name.startsWith("hand") ? 99.5 : name.startsWith("small") ? 99 : 97;
    return [{ what: `${name}: operations equal in every field`, got: (100 * equal) / ops, least }];
  }
  return [
    ["notifier", 99],
    ["transitions", 98],
    ["hw-write", 98],
    ...(/^arm64.*-(6\.12|7\.3)-/.test(name) ? [["tlb-calls", 97]] : []),
  ].map(([field, least]) => ({ what: `${name}: ${field}`, got: of(field), least }));
}

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
      const report = await conform(`${corpus}${file}`);
      const { divergences } = report;
      const found = divergences.map(({ script, step }) => `${script}#${step}`);
      const listed = explained
        .filter((row) => row.set === set && scripts.has(row.script))
        .map(({ script, operation }) => `${script}#${operation}`);
      expect(found.sort()).toEqual(listed.sort());
      for (const { what, got, least } of demands(report)) expect(got, what).toBeGreaterThanOrEqual(least);
    },
    60_000,
  );
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { onTestFinished } from "vitest";

/** The corpora of the package. */
export const corpus = (name: string): string => fileURLToPath(new URL(`../corpus/${name}`, import.meta.url));

export type Line = Record<string, unknown>;

/** The lines of one script of a corpus, as JSON. */
export function linesOf(file: string, script: string): Line[] {
  const lines = gunzipSync(readFileSync(corpus(file)))
    .toString()
    .split("\n")
    .filter((text) => text !== "")
    .map((text) => JSON.parse(text) as Line);
  let name: unknown;
  return lines.filter((line) => {
    name = line["script"] ?? line["case"] ?? name;
    return name === script;
  });
}

/** A file of the test that runs, in a folder of its own, which goes when the test ends. */
export function fileOf(name: string, content: string | Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), "mmu-notifier-records-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

export const textOf = (lines: readonly Line[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

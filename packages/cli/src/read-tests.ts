import { readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type LitmusCase, LitmusSyntaxError, readLitmus } from "@mmu-notifier/checker";
import { UsageError } from "./errors.js";
import { unreadable } from "./read-script-file.js";

const TEST_FILE = /\.(litmus|json)(\.gz|\.zst)?$/;
/** More than any catalogue of tests has. */
const LARGEST = 256 * 1024 * 1024;

/** Where the project's own litmus tests are. */
export function shippedTests(): string {
  return join(dirname(createRequire(import.meta.url).resolve("@mmu-notifier/checker/package.json")), "litmus");
}

/** The files that are meant: itself, or what a folder has, in the order of their names. */
function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const files = readdirSync(path, { recursive: true, encoding: "utf8" }).filter((file) => TEST_FILE.test(file));
  if (files.length === 0) throw new UsageError(`no litmus tests in ${path}: expected *.litmus or *.json`, { path });
  return files.sort().map((file) => join(path, file));
}

/**
 * The litmus tests of a file (plain, gzip or zstd, told by its first bytes) or of a folder.
 *
 * @throws UsageError CLI_USAGE when something cannot be read or is no litmus test; the message has its name.
 */
export async function readTests(path: string): Promise<LitmusCase[]> {
  const tests: LitmusCase[] = [];
  let file = path;
  try {
    for (file of filesOf(path)) tests.push(...readLitmus(await textOf(file)));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof LitmusSyntaxError) throw new UsageError(`${file}: ${error.message}`, { file });
    throw unreadable(file, error, "Give a litmus test, a JSON file of tests, or a folder of either");
  }
  return tests;
}

async function textOf(file: string): Promise<string> {
  const bytes = readFileSync(file);
  const starts = (...magic: readonly number[]): boolean => magic.every((byte, at) => bytes[at] === byte);
  if (starts(0x1f, 0x8b)) return gunzipSync(bytes, { maxOutputLength: LARGEST }).toString("utf8");
  if (!starts(0x28, 0xb5, 0x2f, 0xfd)) return text(file, bytes);
  const { decompress } = await import("fzstd");
  return new TextDecoder().decode(decompress(bytes));
}

function text(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${file}: expected a litmus test, a text in UTF-8, but its bytes are not UTF-8`, { file });
  }
}

/**
 * Verdicts of a catalogue: a name and a word in each line.
 *
 * @throws UsageError CLI_USAGE
 */
export function readVerdicts(file: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw unreadable(file, error, "Give a file with a name and a word in each line");
  }
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  return new Map(lines.flatMap(([name = "", verdict]) => (verdict === undefined ? [] : [[name, verdict] as const])));
}

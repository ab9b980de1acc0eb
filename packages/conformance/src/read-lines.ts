import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { CorpusError } from "./errors.js";

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

/** A line of a file, with its number from 1. */
export interface NumberedLine {
  readonly line: number;
  readonly text: string;
}

/**
 * The lines of a plain, gzip or zstd file (told by its first bytes), without ever holding the whole text.
 *
 * @throws CorpusError CORPUS_FORMAT when the file cannot be opened or its compression is broken.
 */
export async function* readLines(file: string): AsyncGenerator<NumberedLine> {
  let line = 0;
  let rest = "";
  try {
    for await (const chunk of await textOf(file)) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop()!;
      for (const text of parts) yield { line: ++line, text };
    }
  } catch (error) {
    if (error instanceof CorpusError) throw error;
    throw new CorpusError(
      file,
      line + 1,
      `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  if (rest !== "") yield { line: line + 1, text: rest };
}

async function textOf(file: string): Promise<AsyncIterable<string>> {
  const magic = Buffer.alloc(4);
  const handle = await open(file);
  try {
    await handle.read(magic, 0, 4, 0);
  } finally {
    await handle.close();
  }
  const starts = (bytes: readonly number[]): boolean => bytes.every((byte, i) => magic[i] === byte);
  if (starts(ZSTD)) {
    const { decompress } = await import("fzstd");
    const { readFile } = await import("node:fs/promises");
    const text = new TextDecoder().decode(decompress(await readFile(file)));
    return (async function* () {
      yield text;
    })();
  }
  const bytes = createReadStream(file);
  if (!starts(GZIP)) return bytes.setEncoding("utf8");
  const unzipped = createGunzip();
  bytes.on("error", (error) => unzipped.destroy(error));
  return bytes.pipe(unzipped).setEncoding("utf8");
}

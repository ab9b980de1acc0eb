import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { CorpusError } from "./errors.js";

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
/** Bytes that are unpacked at a time. */
const CHUNK = 1 << 17;

/** Lines of a file in a row. */
export interface Lines {
  /** Number of the first, from 1. */
  readonly first: number;
  readonly texts: readonly string[];
}

/**
 * The lines of a plain, gzip or zstd file (told by its first bytes), some at a time, without ever holding the whole text.
 *
 * @throws CorpusError CORPUS_FORMAT when the file cannot be opened, or its compression is broken or breaks off.
 */
export async function* readLines(file: string): AsyncGenerator<Lines> {
  let first = 1;
  let rest = "";
  const decoder = new TextDecoder();
  try {
    for await (const bytes of await bytesOf(file)) {
      const texts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = texts.pop()!;
      if (texts.length === 0) continue;
      yield { first, texts };
      first += texts.length;
    }
  } catch (error) {
    if (error instanceof CorpusError) throw error;
    const problem = error instanceof Error ? error.message : String(error);
    throw new CorpusError(file, first, `cannot be read: ${problem}`, error);
  }
  rest += decoder.decode();
  if (rest !== "") yield { first, texts: [rest] };
}

async function bytesOf(file: string): Promise<AsyncIterable<Uint8Array>> {
  const magic = Buffer.alloc(4);
  const handle = await open(file);
  try {
    await handle.read(magic, 0, 4, 0);
  } finally {
    await handle.close();
  }
  const starts = (bytes: readonly number[]): boolean => bytes.every((byte, i) => magic[i] === byte);
  const bytes = createReadStream(file, { highWaterMark: CHUNK });
  if (starts(ZSTD)) return unzstd(bytes);
  if (!starts(GZIP)) return bytes;
  const unzipped = createGunzip({ chunkSize: CHUNK });
  bytes.on("error", (error) => unzipped.destroy(error));
  return bytes.pipe(unzipped);
}

async function* unzstd(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  let unpacked: Uint8Array[] = [];
  const stream = new Decompress((chunk) => {
    // The window that it is a view of is used again.
    unpacked.push(chunk.slice());
  });
  for await (const chunk of packed) {
    stream.push(chunk);
    const ready = unpacked;
    unpacked = [];
    yield* ready;
  }
  stream.push(new Uint8Array(), true);
  yield* unpacked;
}

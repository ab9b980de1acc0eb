import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Decompress } from "fzstd";
import { TraceError } from "../errors.js";

/** Bytes read at once. */
const CHUNK = 1 << 20;

/** Why a file cannot be read, in words. */
const WHY: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
};

/** A trace: the path of a file, or bytes with the name that errors give them. */
export type TraceSource = string | { readonly name: string; readonly bytes: Uint8Array };

/** What errors call a source. */
export function sourceName(source: TraceSource): string {
  return typeof source === "string" ? source : source.name;
}

/** How far a reader has come: compressed bytes read, of how many (0 when not known). */
export interface ReadProgress {
  readonly bytesRead: number;
}

const startsWith = (bytes: Uint8Array, ...magic: readonly number[]): boolean =>
  magic.every((byte, i) => bytes[i] === byte);

/**
 * The content of a trace in chunks, decompressed: gzip and zstd by their magic bytes, anything else as it is.
 *
 * @throws TraceError TRACE_UNREADABLE, TRACE_COMPRESSION
 */
export async function* readChunks(
  source: TraceSource,
  onRead: (progress: ReadProgress) => void = () => {},
): AsyncGenerator<Uint8Array> {
  const name = sourceName(source);
  const raw = counted(rawChunks(source, name), onRead);
  const { value, done } = await raw.next();
  if (done === true) return;
  const whole = prepend(value, raw);
  if (startsWith(value, 0x1f, 0x8b)) yield* gunzip(whole, name);
  else if (startsWith(value, 0x28, 0xb5, 0x2f, 0xfd)) yield* unzstd(whole, name);
  else yield* whole;
}

async function* rawChunks(source: TraceSource, name: string): AsyncGenerator<Uint8Array> {
  if (typeof source !== "string") {
    for (let from = 0; from < source.bytes.length; from += CHUNK) yield source.bytes.subarray(from, from + CHUNK);
    return;
  }
  try {
    for await (const chunk of createReadStream(source, { highWaterMark: CHUNK })) yield chunk as Uint8Array;
  } catch (cause) {
    throw new TraceError(
      "TRACE_UNREADABLE",
      name,
      { line: 0, column: 0 },
      `cannot be read: ${WHY[(cause as NodeJS.ErrnoException).code ?? ""] ?? (cause as Error).message}`,
      { cause },
    );
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onRead: (progress: ReadProgress) => void,
): AsyncGenerator<Uint8Array, undefined> {
  let bytesRead = 0;
  for await (const chunk of chunks) {
    bytesRead += chunk.length;
    onRead({ bytesRead });
    yield chunk;
  }
}

async function* prepend(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

function damaged(name: string, kind: string, cause: unknown): TraceError {
  if (cause instanceof TraceError) return cause;
  const why = (cause as Error).message;
  return new TraceError(
    "TRACE_COMPRESSION",
    name,
    { line: 0, column: 0 },
    `the ${kind} data are damaged or end too early (${why}). Copy the file again`,
    {
      cause,
    },
  );
}

async function* gunzip(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip({ chunkSize: CHUNK });
  const input = Readable.from(chunks, { objectMode: false, highWaterMark: CHUNK });
  // pipe() does not hand errors on; without this a missing file would leave the reader waiting.
  input.on("error", (error) => unzip.destroy(error));
  input.pipe(unzip);
  try {
    for await (const chunk of unzip) yield chunk as Uint8Array;
  } catch (cause) {
    throw damaged(name, "gzip", cause);
  }
}

async function* unzstd(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  const stream = new Decompress((chunk) => void ready.push(chunk));
  const push = (bytes: Uint8Array, final: boolean): readonly Uint8Array[] => {
    ready = [];
    try {
      stream.push(bytes, final);
    } catch (cause) {
      throw damaged(name, "zstd", cause);
    }
    return ready;
  };
  let last = new Uint8Array(0);
  for await (const chunk of chunks) {
    if (last.length > 0) yield* push(last, false);
    last = Uint8Array.from(chunk);
  }
  yield* push(last, true);
}

// The inputs of the TLB benches, as the C anchors read them: u64 words, address | write << 63.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { expandRuns, readPageTrace, RegionTable } from "../dist/index.js";

const PAGES_PER_4_GIB = 1 << 20;

function words(count, accessAt) {
  const bytes = Buffer.alloc(count * 8);
  const view = new Uint32Array(bytes.buffer, bytes.byteOffset, count * 2);
  for (let i = 0; i < count; i++) {
    const [vpn, write] = accessAt(i);
    view[2 * i] = ((vpn % PAGES_PER_4_GIB) * 4096) >>> 0;
    view[2 * i + 1] = (Math.floor(vpn / PAGES_PER_4_GIB) | (write ? 0x8000_0000 : 0)) >>> 0;
  }
  return bytes;
}

/** Every data access of a page trace, one word each, `times` over: a program that goes on with the memory it has. */
export async function writePageTrace(trace, file, times) {
  const regions = new RegionTable(trace);
  const parts = [];
  for await (const { keys, counts, length } of readPageTrace(trace, { regions })) {
    parts.push({ keys: keys.slice(0, length), counts: counts.slice(0, length) });
  }
  const keys = expandRuns(parts);
  const bytes = words(keys.length, (i) => [regions.vpn(keys[i] >>> 1), (keys[i] & 1) === 1]);
  writeFileSync(file, bytes);
  for (let time = 1; time < times; time++) appendFileSync(file, bytes);
}

/** A small generator whose sequence is the same everywhere (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Uniform accesses to `pages` pages, 30 % of them writes: nearly every access walks. */
export function writeUniform(pages, count, file) {
  const next = random(42);
  writeFileSync(
    file,
    words(count, () => [0x7f0000000 + Math.floor(next() * pages), next() < 0.3]),
  );
}

/** The keys of such a file, and their regions. */
export function readKeys(file) {
  const bytes = readFileSync(file);
  const view = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const regions = new RegionTable(file);
  const keys = new Int32Array(view.length / 2);
  for (let i = 0; i < keys.length; i++) {
    const high = view[2 * i + 1];
    keys[i] = regions.key((high & 0x7fff_ffff) * PAGES_PER_4_GIB + (view[2 * i] >>> 12), high >>> 31);
  }
  return { keys, regions };
}

import type { Line } from "../line.js";
import type { Backing, MapOp, Op } from "./op.js";
import { advice, type OpSpec, prot, span, spec } from "./spec.js";

const MAP_WORDS = ["norepl", "hint", "populate", "noreserve", "locked", "growsdown", "stack"] as const;

type Head = Pick<MapOp, "start" | "pages" | "prot">;
type Options = { -readonly [K in "placement" | "populate" | "locked" | "noreserve" | "growsdown" | "stack"]: MapOp[K] };

function options(placement: MapOp["placement"]): Options {
  return { placement, populate: false, locked: false, noreserve: false, growsdown: false, stack: false };
}

function backing(name: string): Backing {
  if (name === "anon" || name === "huge") return { kind: name };
  return { kind: "file", name };
}

/** `map S L PROT p|s BACK [OFF] [flags]`. */
function mapShort(line: Line, head: Head): MapOp {
  const shared = line.oneOf("private or shared", ["p", "s"]) === "s";
  const back = backing(line.name("a backing (anon, huge or a file such as mem)"));
  const offset = line.optionalInteger("a file offset in pages", 0);
  const chosen = options("fixed");
  while (line.left > 0) {
    const word = line.oneOf("a mapping flag", MAP_WORDS);
    if (word === "norepl") chosen.placement = "noreplace";
    else if (word === "hint") chosen.placement = "hint";
    else chosen[word] = true;
  }
  return mapOp(head, shared, back, offset, chosen);
}

/** One literal of one shape: ops are made for every line, and copying parts of many shapes into another costs more than reading it. */
function mapOp(
  { start, pages, prot: rights }: Head,
  shared: boolean,
  back: Backing,
  offset: number,
  { placement, populate, locked, noreserve, growsdown, stack }: Options,
): MapOp {
  return {
    kind: "map",
    start,
    pages,
    prot: rights,
    shared,
    backing: back,
    offset,
    placement,
    populate,
    locked,
    noreserve,
    growsdown,
    stack,
  };
}

const LONG_WORDS = ["anon", "private", "shared", "hugetlb", "over", "populate", "locked", "noreserve"] as const;

/** `map S L PROT private|shared anon|fd=NAME [hugetlb] [over] …`, words in any order. */
function mapLong(line: Line, head: Head): MapOp {
  const chosen = options("noreplace");
  let shared: boolean | undefined;
  let named: string | undefined;
  let anon = false;
  let huge = false;
  while (line.left > 0) {
    const next = line.peek()!;
    if (next.startsWith("fd=") && next.length > 3) {
      named = line.word("a file").slice(3);
      continue;
    }
    const word = line.oneOf("a mapping flag or fd=NAME", LONG_WORDS);
    if (word === "private" || word === "shared") shared = word === "shared";
    else if (word === "anon") anon = true;
    else if (word === "hugetlb") huge = true;
    else if (word === "over") chosen.placement = "fixed";
    else chosen[word] = true;
  }
  if (shared === undefined) throw line.expected("private or shared");
  if (named === undefined && !anon) throw line.expected("anon or fd=NAME");
  const back: Backing = named === undefined ? { kind: huge ? "huge" : "anon" } : { kind: "file", name: named };
  return mapOp(head, shared, back, 0, chosen);
}

function map(line: Line): MapOp {
  const head = { ...span(line), prot: prot(line) };
  const next = line.peek();
  const long = next !== undefined && (next.startsWith("fd=") || (LONG_WORDS as readonly string[]).includes(next));
  return long ? mapLong(line, head) : mapShort(line, head);
}

function remap(line: Line): Op {
  const from = { ...span(line), newPages: line.integer("a new number of pages") };
  let mayMove = false;
  let dontUnmap = false;
  let fixed = false;
  let destination = 0;
  while (line.left > 0) {
    switch (line.oneOf("a flag of mremap", ["maymove", "fixed", "fixedonly", "dontunmap"])) {
      case "maymove":
        mayMove = true;
        break;
      case "fixed":
        mayMove = true;
        fixed = true;
        destination = line.integer("a destination page");
        break;
      case "fixedonly":
        fixed = true;
        destination = line.integer("a destination page");
        break;
      case "dontunmap":
        mayMove = true;
        dontUnmap = true;
        if (/^\d/.test(line.peek() ?? "")) {
          fixed = true;
          destination = line.integer("a destination page");
        }
        break;
    }
  }
  return { kind: "remap", ...from, mayMove, dontUnmap, fixed, destination };
}

const extraProt = (line: Line): number => line.optionalInteger("more PROT_ bits", 0);
const self = { child: -1 };

const protect: OpSpec["parse"] = (line) => {
  const where = span(line);
  const bits = prot(line);
  return { kind: "protect", ...where, prot: bits | extraProt(line), ...self };
};
const advise: OpSpec["parse"] = (line) => ({ kind: "advise", ...span(line), advice: advice(line), ...self });
const mlockOnFault: OpSpec["parse"] = (line) => ({ kind: "mlock", ...span(line), onFault: true });

function clearRefs(line: Line): Op {
  return { kind: "clearrefs", what: line.integer("what to clear: 1 to 5") };
}

function mbind(line: Line): Op {
  const where = span(line);
  if (/^\d+$/.test(line.peek() ?? "")) return { kind: "mbind", ...where, policy: "bind", node: line.integer("a node") };
  return { kind: "mbind", ...where, policy: line.oneOf("a policy or a node number", ["default", "bind"]), node: 0 };
}

function movePages(line: Line): Op {
  const start = line.integer("a page");
  if (line.left === 0) return { kind: "movepages", start, pages: 1, node: 0 };
  return { kind: "movepages", start, pages: line.integer("a number of pages"), node: line.integer("a node") };
}

function padvise(line: Line): Op {
  const what = advice(line);
  const ranges = [span(line)];
  while (line.left > 0) ranges.push(span(line));
  return { kind: "padvise", advice: what, ranges };
}

/** System calls on the address space. Lengths and places in pages from the arena's base; the `x` variants take bytes. */
export const ADDRESS_SPACE_OPS: readonly OpSpec[] = [
  spec("map S L PROT p|s BACK [OFF] [FLAGS]", "mmap; also `map S L PROT private|shared anon|fd=NAME [FLAGS]`", map),
  spec("mapx ADDR LEN PROT FLAGS BACK OFF", "mmap with bytes and a raw flag word", (line) => ({
    kind: "mapx",
    addressBytes: line.integer("an address in bytes from the arena's base"),
    lengthBytes: line.integer("a length in bytes"),
    prot: prot(line),
    mapFlags: line.integer("a word of MAP_ flags"),
    file: ((name) => (name === "none" ? undefined : name))(line.name("a file or none")),
    offsetBytes: line.optionalInteger("an offset in bytes", 0),
  })),
  spec("unmap S L", "munmap", (line) => ({ kind: "unmap", ...span(line), ...self })),
  spec("unmapx ADDR LEN", "munmap with bytes", (line) => ({
    kind: "unmapx",
    addressBytes: line.integer("an address in bytes"),
    lengthBytes: line.integer("a length in bytes"),
  })),
  spec("protect S L PROT [EXTRA]", "mprotect", protect),
  spec("mprotect S L PROT [EXTRA]", "the same as protect", protect),
  spec("protectx ADDR LEN PROT", "mprotect with bytes", (line) => ({
    kind: "protectx",
    addressBytes: line.integer("an address in bytes"),
    lengthBytes: line.integer("a length in bytes"),
    prot: prot(line),
  })),
  spec("remap OS OL NL [maymove|fixed D|fixedonly D|dontunmap [D]]", "mremap", remap),
  spec("mremap OS OL NL [maymove|fixed D|fixedonly D|dontunmap [D]]", "the same as remap", remap),
  spec("advise S L ADVICE", "madvise", advise),
  spec("madvise S L ADVICE", "the same as advise", advise),
  spec("advisex ADDR LEN ADVICE", "madvise with bytes", (line) => ({
    kind: "advisex",
    addressBytes: line.integer("an address in bytes"),
    lengthBytes: line.integer("a length in bytes"),
    advice: advice(line),
  })),
  spec("padvise ADVICE S L [S L …]", "process_madvise on the process itself", padvise),
  spec("mlock S L", "mlock", (line) => ({ kind: "mlock", ...span(line), onFault: false })),
  spec("mlock2 S L", "mlock2 with MLOCK_ONFAULT", mlockOnFault),
  spec("mlockonfault S L", "the same as mlock2", mlockOnFault),
  spec("munlock S L", "munlock", (line) => ({ kind: "munlock", ...span(line) })),
  spec("mseal S L", "mseal", (line) => ({ kind: "mseal", ...span(line) })),
  spec("msync S L sync|async|inval", "msync", (line) => ({
    kind: "msync",
    ...span(line),
    how: line.oneOf("how to sync", ["sync", "async", "inval"]),
  })),
  spec("mincore S L", "mincore", (line) => ({ kind: "mincore", ...span(line) })),
  spec("mbind S L default|bind|NODE", "mbind with MPOL_MF_MOVE", mbind),
  spec("movepages S [L NODE]", "move_pages to a node", movePages),
  spec("rfp S L PG", "remap_file_pages", (line) => ({
    kind: "rfp",
    ...span(line),
    pgoff: line.integer("a page of the file"),
  })),
  spec("clearrefs N", "/proc/self/clear_refs", clearRefs),
  spec("clear_refs N", "the same as clearrefs", clearRefs),
];

import type { FileKind } from "./op.js";
import { file, type OpSpec, spec } from "./spec.js";

function create(kind: FileKind): OpSpec["parse"] {
  return (line) => ({
    kind: "create",
    file: kind,
    name: line.name("a name for the file"),
    pages: line.integer("a size in pages"),
    fill: line.take("fill"),
  });
}

const truncate: OpSpec["parse"] = (line) => ({
  kind: "ftrunc",
  file: file(line),
  pages: line.integer("a size in pages"),
});

function range(kind: "fpunch" | "fzero" | "fcollapse"): OpSpec["parse"] {
  return (line) => ({
    kind,
    file: file(line),
    start: line.integer("a first page of the file"),
    pages: line.integer("a number of pages"),
  });
}

function atPage(kind: "fwrite" | "fread"): OpSpec["parse"] {
  return (line) => ({ kind, file: file(line), page: line.integer("a page of the file") });
}

/** Files: `mem memro file filero hmem badfd` exist without being made. */
export const FILE_OPS: readonly OpSpec[] = [
  spec("memfd F N", "a memfd of N pages", create("memfd")),
  spec("file F N [fill]", "a file of N pages on a disk file system; fill writes every page", create("disk")),
  spec("hmemfd F N", "a hugetlb memfd of N base pages", create("hugetlb")),
  spec("dax F N", "a file of N pages on DAX memory", create("dax")),
  spec("ftrunc F N", "ftruncate to N pages", truncate),
  spec("truncate F N", "the same as ftrunc", truncate),
  spec("fpunch F OFF L", "fallocate(PUNCH_HOLE)", range("fpunch")),
  spec("punch F OFF L", "the same as fpunch", range("fpunch")),
  spec("fzero F OFF L", "fallocate(ZERO_RANGE)", range("fzero")),
  spec("fcollapse F OFF L", "fallocate(COLLAPSE_RANGE)", range("fcollapse")),
  spec("fwrite F PG", "pwrite of one byte", atPage("fwrite")),
  spec("fread F PG", "pread of one byte", atPage("fread")),
  spec("fsync F", "fsync", (line) => ({ kind: "fsync", file: file(line) })),
  spec("fdrop F", "posix_fadvise(DONTNEED)", (line) => ({ kind: "fdrop", file: file(line) })),
];

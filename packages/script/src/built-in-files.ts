import type { FileKind, Op } from "./ops/op.js";
import type { Script } from "./script.js";

/** What a file is when it is made. */
export interface NewFile {
  readonly name: string;
  readonly kind: FileKind;
  /** Size in base pages. */
  readonly pages: number;
  /** Pages from the first that hold a byte. */
  readonly written: number;
}

/** A descriptor for reading only of another file. */
export interface ReadOnlyFile {
  readonly name: string;
  /** Name of the file that it reads. */
  readonly readOnly: string;
}

/** The descriptor that is never open. */
const BAD = "badfd";
/** Pages of `mem` and `file` unless the arena is large. */
const SMALL = 64;
/** From this arena on `mem` is as large as the arena. */
const LARGE_ARENA = 512;
/** Huge pages of `hmem`. */
const HUGE_PAGES = 8;

/** The first byte of page `index` of a file that was filled: 100 to 199. */
export function filled(index: number): number {
  return 100 + (index % 100);
}

/**
 * Names of the files that a script speaks of, each once, in one order for all scripts; a read-only descriptor needs the file that
 * it reads.
 */
export function fileNames(script: Script): readonly string[] {
  const names = new Set<string>();
  for (const { op } of script.statements) {
    const name = fileOf(op);
    if (name !== undefined && name !== BAD) names.add(name);
  }
  if (names.has("memro")) names.add("mem");
  if (names.has("filero")) names.add("file");
  return [...names].sort();
}

function fileOf(op: Op): string | undefined {
  if (op.kind === "map") return op.backing.kind === "file" ? op.backing.name : undefined;
  if (op.kind === "create") return op.name;
  return "file" in op ? op.file : undefined;
}

/**
 * The files that exist without being made, if a script speaks of them: `mem` with its first half written, `file` with its first
 * half written and synced, `hmem` of eight huge pages; `memro` and `filero` read the same.
 *
 * @param names {@link fileNames} of the script
 * @param hugePages base pages of a huge page
 */
export function builtInFiles(
  names: readonly string[],
  arena: number,
  hugePages: number,
): readonly (NewFile | ReadOnlyFile)[] {
  const pages = arena > LARGE_ARENA ? arena : SMALL;
  const all: readonly (NewFile | ReadOnlyFile)[] = [
    { name: "mem", kind: "memfd", pages, written: pages > LARGE_ARENA ? SMALL : pages / 2 },
    { name: "memro", readOnly: "mem" },
    { name: "file", kind: "disk", pages: SMALL, written: SMALL / 2 },
    { name: "filero", readOnly: "file" },
    { name: "hmem", kind: "hugetlb", pages: HUGE_PAGES * hugePages, written: 0 },
  ];
  return all.filter(({ name }) => names.includes(name));
}

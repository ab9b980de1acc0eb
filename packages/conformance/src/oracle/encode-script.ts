import { builtInFiles, fileNames, type Script } from "@mmu-notifier/script";
import { encodeOp, type Needs, uffdFeatures } from "./encode-op.js";
import { OracleOpError } from "./errors.js";

/** Base pages of a huge page on x86-64. */
const HUGE_PAGES = 512;

/** A script as the interpreter takes it. */
export interface EncodedScript {
  readonly script: Script;
  readonly text: string;
}

const DAEMONS: ReadonlySet<string> = new Set(["ksmrun", "khuge"]);

/**
 * A script as the lines that the interpreter reads: what is made before the first op, then an op a line.
 *
 * @throws OracleOpError ORACLE_OP for an op that only the model can run
 */
export function encodeScript(script: Script, swapFile: string): EncodedScript {
  refuseThreads(script);
  const needs: Needs = { uffdFeatures: uffdFeatures(script), swapFile };
  const ops = script.statements.map((statement) => encodeOp(statement, script, needs));
  const daemons = script.statements.some(({ op }) => DAEMONS.has(op.kind)) ? " daemons" : "";
  const lines = [`script ${script.arena}${daemons}`, ...preparations(script, needs), ...ops, "run", ""];
  return { script, text: lines.join("\n") };
}

function refuseThreads({ file, statements, devices }: Script): void {
  const [device] = devices;
  if (device !== undefined)
    throw new OracleOpError(file, device.position.line, `device ${device.name}`, "devices exist in the model only");
  const inside = statements.find(({ thread }) => thread !== undefined);
  if (inside !== undefined)
    throw new OracleOpError(
      file,
      inside.position.line,
      `thread ${inside.thread!}`,
      "which thread runs first is chance",
    );
}

function preparations(script: Script, needs: Needs): readonly string[] {
  const lines = builtInFiles(fileNames(script), script.arena, HUGE_PAGES).map((file) =>
    "readOnly" in file
      ? `reopen ${file.name} ${file.readOnly}`
      : `make ${file.kind} ${file.name} ${file.pages} ${file.written}`,
  );
  const has = (kind: string): boolean => script.statements.some(({ op }) => op.kind === kind);
  if (has("pin") || has("unpin")) lines.push("ring");
  if (has("padvise")) lines.push("pidfd :self");
  // A script that never opens a userfaultfd gets one with its first registration.
  if (has("uffdreg") && !has("uffd")) lines.push(`uffd ${needs.uffdFeatures("sync")}`);
  return lines.map((line) => `prepare ${line}`);
}

/** What the machine has to have ready for these scripts. */
export interface Supplies {
  /** hugetlb pages. */
  readonly hugePages: number;
  /** Pages of swap. */
  readonly swapPages: number;
}

/** The pool that the corpora were recorded with. */
const POOL = 64;
/** 64 MiB: twice the largest arena. */
const SWAP = 16_384;
const MAP_HUGETLB = 0x4_0000;

/** hugetlb pages and swap are made only for scripts that use them. */
export function suppliesFor(scripts: readonly Script[]): Supplies {
  const ops = scripts.flatMap(({ statements }) => statements.map(({ op }) => op));
  const huge = ops.some(
    (op) =>
      (op.kind === "map" &&
        (op.backing.kind === "huge" || (op.backing.kind === "file" && op.backing.name === "hmem"))) ||
      (op.kind === "create" && op.file === "hugetlb") ||
      (op.kind === "mapx" && (op.mapFlags & MAP_HUGETLB) !== 0) ||
      ("file" in op && op.file === "hmem"),
  );
  const PAGEOUT = 21;
  const swap = ops.some(
    (op) => op.kind === "swapon" || op.kind === "swapoff" || ("advice" in op && op.advice === PAGEOUT),
  );
  return { hugePages: huge ? POOL : 0, swapPages: swap ? SWAP : 0 };
}

import { type EventRecord, type OpRecord, type Script, VMA_FLAG_LETTERS, type VmaRecord } from "@mmu-notifier/script";
import type { MmrunCase } from "../corpus.js";
import { opResult } from "./op-result.js";
import { PageRuns } from "./page-runs.js";
import type { RawRun, RawVma } from "./raw-record.js";
import { withoutRepeatedFaults } from "./repeated-faults.js";
import { readEvents } from "./trace-events.js";

/** What one script did on this kernel, in the schema of recorded corpora. */
export interface KernelRun extends MmrunCase {
  /** The first operation whose trace events the kernel dropped; -1 for none. */
  readonly lost: number;
  /** Pages that compaction looked at meanwhile, whoever caused it. */
  readonly compacted: number;
  /** Faults that were left out because only a guest sees them. */
  readonly repeated: number;
}

/** Turns what the interpreter printed of a script into records. */
export function kernelRun(script: Script, { pid, records, exit }: RawRun): KernelRun {
  const children: number[] = [];
  const pages = new PageRuns();
  let repeated = 0;
  let written = new Set<number>();
  let notified = true;
  const made = records.map((raw, index): OpRecord => {
    const statement = script.statements[index]!;
    if (raw.r.child !== undefined && statement.op.kind === "fork") children[statement.op.child] = raw.r.child;
    const { ev: all, outside } = readEvents(raw.t, { pid, children });
    const result = opResult(statement.op, raw.r);
    const pg = pages.take(raw.p);
    if (statement.op.kind === "closevm") notified = false;
    if (statement.op.kind === "openvm") notified = true;
    if (statement.op.kind !== "access" && !(notified && all.every(isFault))) written = new Set();
    const ev = withoutRepeatedFaults({ ...result, ev: all, pg }, written);
    repeated += all.length - ev.length;
    return {
      i: index,
      op: statement.text,
      ...result,
      ev,
      vma: raw.v.map(vmaOf),
      pg,
      ...(outside > 0 ? { outN: outside } : {}),
    };
  });
  const last = script.statements[made.length];
  // A process that has exited has nothing left to be looked at.
  if (last?.op.kind === "exit" && exit.exit === 0)
    made.push({ i: made.length, op: last.text, ret: 0, ev: readEvents(exit.t, { pid, children }).ev, vma: [], pg: [] });
  return {
    dialect: "mmrun",
    name: script.name,
    arena: script.arena,
    records: made,
    exit: { exit: exit.exit, ev: readEvents(exit.t, { pid, children }).ev },
    compacted: exit.compacted,
    repeated,
    lost: records.findIndex(({ lost }) => lost === 1),
  };
}

const isFault = ([kind]: EventRecord): boolean => kind === "F" || kind === "FK";

function vmaOf([start, end, rights, offset, backing, vmFlags]: RawVma): VmaRecord {
  const flags = vmFlags.split(" ").filter((flag) => VMA_FLAG_LETTERS.has(flag));
  return [start, end, rights, backing === "anon" ? 0 : offset, backing, flags.join(" ")];
}

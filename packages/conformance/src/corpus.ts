import { basename } from "node:path";
import type { KernelConfig } from "@mmu-notifier/core";
import { checkRecords } from "./check-records.js";
import { CorpusError } from "./errors.js";
import type { EventRecord, OpRecord } from "@mmu-notifier/script";
import type { WriteRun } from "./mmrun/write-bits.js";
import type { QemuRecord } from "./qemu/qemu-record.js";
import { readLines } from "./read-lines.js";

/** The last record of a script: how the process ended. */
export interface MmrunExit {
  readonly exit: number;
  readonly ev: readonly EventRecord[];
}

/** One recorded script of the dialect with header lines. */
export interface MmrunCase {
  readonly dialect: "mmrun";
  readonly name: string;
  /** Pages that the recording looked at. */
  readonly arena: number;
  /** How the machine was set, where the header says so. */
  readonly machine?: Partial<KernelConfig>;
  readonly records: readonly OpRecord[];
  /** Line of each record in the file that it was read from, from 1. */
  readonly lines?: readonly number[];
  readonly exit: MmrunExit | undefined;
}

/** One recorded script of the dialect with a case name in every line. */
export interface QemuCase {
  readonly dialect: "qemu";
  readonly name: string;
  readonly records: readonly QemuRecord[];
  /** Line of each record in the file that it was read from, from 1. */
  readonly lines?: readonly number[];
}

/** What every page's write bit was after one operation. */
export interface ProbeRecord {
  readonly i: number;
  readonly op: string;
  readonly w: readonly WriteRun[];
}

/** One script with the write bits after each of its operations. */
export interface ProbeCase {
  readonly dialect: "write-bits";
  readonly name: string;
  readonly arena: number;
  readonly records: readonly ProbeRecord[];
  /** Line of each record in the file that it was read from, from 1. */
  readonly lines?: readonly number[];
}

export type CorpusCase = MmrunCase | QemuCase | ProbeCase;

/** What a set was recorded on, as far as its file name says it. */
export interface SetOrigin {
  readonly name: string;
  readonly kernel: string;
  readonly arch: string;
}

/** `arm64hafdbs-6.12-hand.jsonl.gz` was recorded on arm64 with hardware A/D under v6.12; files without such a name on v6.18 x86-64. */
export function originOf(file: string): SetOrigin {
  const name = basename(file).replace(/\.jsonl(\.gz|\.zst)?$/, "");
  const match = /^(x86|arm64|arm64hafdbs)-(\d+\.\d+)-/.exec(name);
  if (match === null) return { name, kernel: "v6.18", arch: "x86-64" };
  const arch = { x86: "x86-64", arm64: "arm64", arm64hafdbs: "arm64-hafdbs" }[
    match[1] as "x86" | "arm64" | "arm64hafdbs"
  ];
  return { name, kernel: `v${match[2]}`, arch };
}

/**
 * The cases of a corpus file, one at a time, in any dialect.
 *
 * @throws CorpusError CORPUS_FORMAT with file and line when a line is no record.
 */
export async function* readCorpus(file: string): AsyncGenerator<CorpusCase> {
  const cases = new CaseBuilder(file);
  for await (const { first, texts } of readLines(file)) {
    for (const [i, text] of texts.entries()) {
      if (text.trim() === "") continue;
      const finished = cases.add(first + i, parse(file, first + i, text));
      if (finished !== undefined) yield finished;
    }
  }
  const last = cases.finish();
  if (last !== undefined) yield last;
}

/** A case whose records are still coming. */
type Growing =
  | {
      dialect: "mmrun";
      name: string;
      arena: number;
      machine?: Partial<KernelConfig>;
      records: OpRecord[];
      lines: number[];
      exit: MmrunExit | undefined;
    }
  | { dialect: "qemu"; name: string; records: QemuRecord[]; lines: number[] }
  | { dialect: "write-bits"; name: string; arena: number; records: ProbeRecord[]; lines: number[] };

/** Puts records together to cases: a case ends where the next one starts. */
class CaseBuilder {
  readonly #file: string;
  #case: Growing | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Takes a record; returns the case before, if this record starts a new one. */
  add(line: number, record: Record<string, unknown>): CorpusCase | undefined {
    if ("w" in record && typeof record["script"] === "string") return this.#probe(line, record, record["script"]);
    if (typeof record["script"] === "string") {
      const arena = numberOf(this.#file, line, record, "arena");
      const machine = record["config"] as Partial<KernelConfig> | undefined;
      return this.#start({
        dialect: "mmrun",
        name: record["script"],
        arena,
        records: [],
        lines: [],
        exit: undefined,
        ...(machine === undefined ? {} : { machine }),
      });
    }
    if (typeof record["case"] === "string") return this.#qemu(line, record, record["case"]);
    if (this.#case?.dialect !== "mmrun") {
      const keys = Object.keys(record).join(", ");
      throw new CorpusError(
        this.#file,
        line,
        `expected a header {"script":…,"arena":…} or a record with "case"; found the keys ${keys}`,
      );
    }
    if ("exit" in record) {
      need<MmrunExit>(this.#file, line, record, ["exit", "ev"]);
      this.#case.exit = record;
    } else {
      need<OpRecord>(this.#file, line, record, ["i", "op", "ev", "vma", "pg"]);
      this.#case.records.push(record);
      this.#case.lines.push(line);
    }
    return undefined;
  }

  finish(): CorpusCase | undefined {
    return this.#case;
  }

  #start(next: Growing): CorpusCase | undefined {
    const before = this.#case;
    this.#case = next;
    return before;
  }

  #qemu(line: number, record: Record<string, unknown>, name: string): CorpusCase | undefined {
    need<QemuRecord>(this.#file, line, record, ["line", "notifier", "pages", "vmas", "transitions"]);
    if (this.#case?.dialect !== "qemu" || this.#case.name !== name)
      return this.#start({ dialect: "qemu", name, records: [record], lines: [line] });
    this.#case.records.push(record);
    this.#case.lines.push(line);
    return undefined;
  }

  #probe(line: number, record: Record<string, unknown>, name: string): CorpusCase | undefined {
    need<ProbeRecord>(this.#file, line, record, ["i", "op", "w"]);
    if (this.#case?.dialect !== "write-bits" || this.#case.name !== name) {
      const first = { dialect: "write-bits" as const, name, arena: 0, records: [record], lines: [line] };
      checkRecords(this.#file, first);
      return this.#start({ ...first, arena: record.w.reduce((end, [page, pages]) => Math.max(end, page + pages), 0) });
    }
    this.#case.records.push(record);
    this.#case.lines.push(line);
    return undefined;
  }
}

function parse(file: string, line: number, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CorpusError(file, line, `expected a JSON record, found ${JSON.stringify(text.slice(0, 40))}`, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new CorpusError(file, line, `expected a JSON object, found ${text.slice(0, 40)}`);
  return value as Record<string, unknown>;
}

/** The keys alone: {@link checkRecords} looks at the values where a record and the model differ. */
function need<T>(
  file: string,
  line: number,
  record: object,
  keys: readonly (keyof T & string)[],
): asserts record is T & object {
  const missing = keys.filter((key) => !(key in record));
  if (missing.length > 0) throw new CorpusError(file, line, `the record lacks ${missing.join(", ")}`);
}

function numberOf(file: string, line: number, record: Record<string, unknown>, key: string): number {
  const value = record[key];
  if (typeof value !== "number")
    throw new CorpusError(file, line, `expected a number for ${key}, found ${JSON.stringify(value)}`);
  return value;
}

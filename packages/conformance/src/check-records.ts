import * as v from "valibot";
import type { CorpusCase } from "./corpus.js";
import { CorpusError } from "./errors.js";

const number = v.number();
const string = v.string();
const boolean = v.boolean();
const place = v.union([number, string], 'expected a page number, or a text such as "max"');

const fault = v.picklist(["F", "FK"]);
const range = v.picklist(["N", "A"]);
/** Who did it stands at the end, unless it was the process itself. */
const event = v.union(
  [
    v.tuple([fault, number, number]),
    v.tuple([fault, number, number, string]),
    v.tuple([range, place, place]),
    v.tuple([range, place, place, string]),
    v.tuple([v.literal("Y"), place]),
    v.tuple([v.literal("Y"), place, string]),
    v.tuple([v.literal("T"), number, number]),
  ],
  'expected an event: ["F"|"FK", page, code, who?], ["N"|"A", start, end, who?], ["Y", page, who?] or ["T", pages, reason]',
);
const signal = v.picklist(["SEGV", "BUS"]);

const mmrun = v.object({
  i: number,
  op: string,
  ret: v.exactOptional(place),
  err: v.exactOptional(string),
  val: v.exactOptional(v.union([number, string])),
  sig: v.exactOptional(signal),
  code: v.exactOptional(number),
  at: v.exactOptional(place),
  sigs: v.exactOptional(v.array(v.tuple([number, signal, number]))),
  sum: v.exactOptional(number),
  status: v.exactOptional(number),
  ev: v.array(event),
  vma: v.array(v.tuple([number, number, string, number, string, string])),
  pg: v.array(v.tuple([number, number, string, number, number])),
});

const probe = v.object({
  i: number,
  op: string,
  w: v.array(v.tuple([number, number, v.picklist(["w", "r", "R", "n", "N"])])),
});

const right = v.picklist(["none", "ro", "rw", "prot_none"]);
const level = v.picklist(["none", "pte", "pmd"]);

const qemu = v.object({
  case: string,
  step: number,
  line: string,
  op: string,
  ret: v.nullable(number),
  errno: v.nullable(string),
  sig: v.nullable(string),
  sigCode: v.exactOptional(v.nullable(v.union([number, string]))),
  sigPage: v.exactOptional(v.nullable(number)),
  notifier: v.array(
    v.object({
      fn: string,
      mm: string,
      start: v.exactOptional(v.nullable(number)),
      end: v.exactOptional(v.nullable(number)),
      whole: v.exactOptional(boolean),
      event: v.exactOptional(string),
      flags: v.exactOptional(number),
      onlyEnd: v.exactOptional(boolean),
      ret: v.exactOptional(number),
      newWrite: v.exactOptional(boolean),
      task: v.exactOptional(string),
      via: v.exactOptional(v.array(string)),
    }),
  ),
  transitions: v.array(
    v.object({
      page: number,
      n: number,
      from: right,
      to: right,
      samePfn: boolean,
      level: v.exactOptional(v.tuple([level, level])),
    }),
  ),
  vmas: v.array(
    v.object({ start: number, end: number, prot: string, shared: boolean, offset: number, flags: v.array(string) }),
  ),
  pages: v.array(
    v.object({
      va: number,
      n: number,
      pfnClass: v.nullable(v.union([number, v.literal("zero")])),
      level,
      present: boolean,
      hwWrite: boolean,
      mayWrite: boolean,
      dirty: boolean,
      young: boolean,
      exclusive: boolean,
      mapCount: v.nullable(number),
      softDirty: v.nullable(boolean),
      cont: v.exactOptional(boolean),
      special: v.exactOptional(boolean),
      uffdWp: v.exactOptional(boolean),
      protNone: v.exactOptional(boolean),
      swapped: v.exactOptional(boolean),
    }),
  ),
  pteSet: v.array(
    v.object({
      fn: string,
      mm: string,
      page: number,
      oldWrite: boolean,
      newWrite: boolean,
      oldMayWrite: boolean,
      newMayWrite: boolean,
      changed: number,
    }),
  ),
  faults: v.array(v.object({ mm: string, page: number, flags: v.array(string), result: v.array(string) })),
});

/** The schema of each dialect, which gives what the comparison takes. */
const SCHEMAS: {
  readonly [Case in CorpusCase as Case["dialect"]]: v.GenericSchema<unknown, Case["records"][number]>;
} = { mmrun, qemu, "write-bits": probe };

/**
 * Checks every value of a case's records.
 *
 * It costs as much as running the operation, and an operation that is equal in every field was recorded right: {@link conform} asks
 * where a record differs or cannot be run.
 *
 * @throws CorpusError CORPUS_FORMAT with file, line and the path of the first value that is wrong
 */
export function checkRecords(file: string, { dialect, records, lines }: CorpusCase): void {
  for (const [i, record] of records.entries()) {
    const result = v.safeParse(SCHEMAS[dialect], record, { abortEarly: true });
    if (result.success) continue;
    const [issue] = result.issues;
    throw new CorpusError(file, lines?.[i] ?? i + 1, `${v.getDotPath(issue) ?? "the record"}: ${issue.message}`);
  }
}

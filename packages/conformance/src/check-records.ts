import * as v from "valibot";
import type { CorpusCase } from "./corpus.js";
import { CorpusError } from "./errors.js";

const number = v.number();
const string = v.string();
const boolean = v.boolean();
const place = v.union([number, string], 'expected a page number, or a text such as "max"');

const event = v.union(
  [
    v.looseTuple([v.picklist(["F", "FK"]), number, number]),
    v.looseTuple([v.picklist(["N", "A"]), place, place]),
    v.looseTuple([v.literal("Y"), place]),
    v.looseTuple([v.literal("T"), number, number]),
  ],
  'expected an event: ["F"|"FK", page, code], ["N"|"A", start, end], ["Y", page] or ["T", pages, reason]',
);
const signal = v.picklist(["SEGV", "BUS"]);

const mmrun = v.object({
  i: number,
  op: string,
  ret: v.optional(place),
  err: v.optional(string),
  val: v.optional(v.union([number, string])),
  sig: v.optional(signal),
  code: v.optional(number),
  at: v.optional(place),
  sigs: v.optional(v.array(v.tuple([number, signal, number]))),
  sum: v.optional(number),
  status: v.optional(number),
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
  sigCode: v.nullish(v.union([number, string])),
  sigPage: v.nullish(number),
  notifier: v.array(
    v.object({
      fn: string,
      mm: string,
      start: v.nullish(number),
      end: v.nullish(number),
      whole: v.optional(boolean),
      event: v.optional(string),
      flags: v.optional(number),
      onlyEnd: v.optional(boolean),
      ret: v.optional(number),
      newWrite: v.optional(boolean),
      task: v.optional(string),
      via: v.optional(v.array(string)),
    }),
  ),
  transitions: v.array(
    v.object({
      page: number,
      n: number,
      from: right,
      to: right,
      samePfn: boolean,
      level: v.optional(v.tuple([level, level])),
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

const SCHEMAS: Readonly<Record<CorpusCase["dialect"], v.GenericSchema>> = { mmrun, qemu, "write-bits": probe };

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

import * as v from "valibot";
import { NO_REGISTER } from "./program-paths.js";

const bit = v.union([v.literal(0), v.literal(1)]);
const small = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue((1 << 24) - 1));
const register = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(31));
const name = v.pipe(v.string(), v.regex(/^\w+$/));

/** An entry; what is left out is as in a valid, accessed, writable entry. */
const entry = v.object({
  oa: v.nullish(name, null),
  valid: v.optional(bit, 1),
  af: v.optional(bit, 1),
  write: v.optional(bit, 1),
  dbm: v.optional(bit, 0),
  el0: v.optional(bit),
});
const value = v.union([small, v.object({ va: name }), v.object({ pte: v.union([name, entry]) })]);
/** A register without a number is the zero register. */
const operand = v.union([
  small,
  v.object({
    r: v.pipe(
      v.nullable(register),
      v.transform((number) => number ?? NO_REGISTER),
    ),
  }),
]);

/** One operation of a thread; those of other names are read, and refused by name. */
const operation = v.union([
  v.tuple([v.literal("set"), register, operand]),
  v.tuple([v.literal("page"), register, register]),
  v.tuple([v.literal("alu"), v.picklist(["ADD", "AND", "EOR"]), register, register, operand]),
  v.tuple([v.literal("load"), register, register, v.picklist(["LDR", "LDUR", "LDAR", "LDAPR"])]),
  v.tuple([v.literal("load"), register, register]),
  v.tuple([v.literal("store"), v.nullable(register), register]),
  v.tuple([v.literal("swap"), register, register, register]),
  v.tuple([v.literal("invalidate"), v.picklist(["is", "local"]), v.nullable(register)]),
  v.tuple([v.picklist(["dsb", "dmb"]), v.pipe(v.string(), v.regex(/^(SY|LD|ST|(ISH|OSH|NSH)(LD|ST)?)$/))]),
  v.tuple([v.picklist(["isb", "nop"])]),
  v.tuple([v.literal("cmp"), register, operand]),
  v.tuple([v.literal("setCond"), register, v.picklist(["EQ", "NE"])]),
  v.tuple([v.picklist(["jumpIfZero", "jumpIfNonZero"]), register, v.string()]),
  v.tuple([v.picklist(["jumpIfEqual", "jumpIfNotEqual", "jump"]), v.string()]),
  v.object({ unknown: v.string() }),
]);

const KNOWN = new Set(
  "set page alu load store swap invalidate dsb dmb isb nop cmp setCond jumpIfZero jumpIfNonZero jumpIfEqual jumpIfNotEqual jump".split(
    " ",
  ),
);
/** Operations whose name is not known stand for themselves: they are refused when the test is read, not when the file is. */
const anyOperation = v.pipe(
  v.unknown(),
  v.transform((item) =>
    Array.isArray(item) && !KNOWN.has(String(item[0]))
      ? { unknown: typeof item[0] === "string" ? item[0] : JSON.stringify(item[0]) }
      : item,
  ),
  operation,
);

/** A condition: the kind and its operands. */
export type JsonCondition =
  | readonly ["and" | "or", ...JsonCondition[]]
  | readonly ["not", JsonCondition]
  | readonly ["reg", number, number, JsonValue]
  | readonly ["mem", string, JsonValue]
  | readonly ["pte", string, { readonly pte: JsonEntry }]
  | readonly ["fault", number, string | null, string, string | null];

const agent = v.pipe(v.number(), v.integer(), v.minValue(0));
const condition: v.GenericSchema<unknown, JsonCondition> = v.lazy(() =>
  v.union(
    [
      v.tupleWithRest([v.picklist(["and", "or"])], condition),
      v.tuple([v.literal("not"), condition]),
      v.tuple([v.literal("reg"), agent, register, value]),
      v.tuple([v.literal("mem"), name, value]),
      v.tuple([v.literal("pte"), name, v.object({ pte: entry })]),
      v.tuple([v.literal("fault"), agent, v.nullable(v.string()), name, v.nullable(v.string())]),
    ],
    'expected a condition: ["and"|"or", …], ["not", …], ["reg", thread, register, value], ["mem", location, value], ["pte", location, {"pte": …}] or ["fault", thread, label, location, type]',
  ),
);
const outcomes = v.array(v.array(v.string()));

/** One test of the JSON form. */
export const jsonTest = v.object({
  name: v.pipe(v.string(), v.minLength(1)),
  verdict: v.nullish(v.object({ base: v.nullish(v.string()), ets2: v.nullish(v.string()) })),
  init: v.object({
    mem: v.record(name, value),
    pte: v.record(name, entry),
    regs: v.record(v.pipe(v.string(), v.regex(/^\d+:\d+$/)), value),
  }),
  threads: v.array(
    v.object({
      ops: v.array(v.union([v.object({ label: v.array(v.string()), op: v.nullable(anyOperation) }), anyOperation])),
      endLabels: v.optional(v.array(v.string()), []),
    }),
  ),
  cond: v.tuple([v.picklist(["exists", "~exists", "forall"]), condition]),
  httu: v.nullish(v.string(), ""),
  outcomes: v.optional(v.object({ base: v.nullish(outcomes), ets2: v.nullish(outcomes) }), {}),
});

export type JsonEntry = v.InferOutput<typeof entry>;
export type JsonValue = v.InferOutput<typeof value>;
export type JsonOperand = v.InferOutput<typeof operand>;
export type JsonOperation = v.InferOutput<typeof operation>;

/**
 * One test of the JSON form of Arm's suite, as it is read.
 *
 * @public
 */
export type JsonTest = v.InferInput<typeof jsonTest>;
export type ParsedTest = v.InferOutput<typeof jsonTest>;

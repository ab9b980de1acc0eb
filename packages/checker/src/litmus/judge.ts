import { compareOutcomes } from "./compare.js";
import { litmusFromHerd } from "./herd-reader.js";
import { parseTest, testOf } from "./json-reader.js";
import type { LitmusRules } from "./rules.js";
import { type LitmusResult, runLitmus } from "./run.js";
import { type Instruction, LitmusSyntaxError, type LitmusTest, type LitmusVerdict, UnsupportedError } from "./test.js";

/**
 * A litmus test with what is known about it.
 *
 * @public
 */
export interface LitmusCase {
  readonly name: string;
  /** Undefined when it needs what this model does not have; then `unsupported` says what. */
  readonly test: LitmusTest | undefined;
  readonly unsupported: string | undefined;
  /** Everything it can end in, as recorded. */
  readonly recorded: readonly (readonly string[])[] | undefined;
  /** The recorded verdict, or the one that the test itself expects. */
  readonly expected: LitmusVerdict | undefined;
}

/**
 * What this model makes of a test: the same as was recorded; less (it is stricter); more (a defect); nothing to compare with; or it
 * can not be run.
 *
 * @public
 */
export type LitmusStatus = "equal" | "subset" | "extra" | "unrecorded" | "unsupported";

/**
 * A judged test.
 *
 * @public
 */
export interface LitmusJudgement {
  readonly name: string;
  readonly status: LitmusStatus;
  readonly unsupported?: string;
  readonly expected?: LitmusVerdict | undefined;
  readonly result?: LitmusResult;
  /** What was compared; undefined when nothing was. */
  readonly compared?: "outcomes" | "verdict" | undefined;
  /** Recorded outcomes that are not reached. */
  readonly missing: readonly string[];
  /** Outcomes that were not recorded. */
  readonly extra: readonly string[];
  /** Why outcomes are missing: names of rules, see {@link LITMUS_REASONS}. */
  readonly reasons: readonly LitmusReason[];
}

/**
 * The rules by which this model is stricter than Arm's, and what each says.
 *
 * @public
 */
export const LITMUS_REASONS = {
  ordering: "the JSON form does not say which stores are releases and which swaps are barriers: all are taken as such",
  index: "the JSON form leaves out index registers: what is computed and never read delays every later access",
  faults: "the JSON form does not say what a fault does: runs with a fault that is not shown are not counted",
  handled: "the JSON form does not say that a fault is handled",
  swap: "a swap loads and stores in one step",
  order: "a load does not overtake an earlier load of the same place, and entries are found in program order",
  verdict: "only verdicts are compared",
} as const;

/**
 * One of {@link LITMUS_REASONS}.
 *
 * @public
 */
export type LitmusReason = keyof typeof LITMUS_REASONS;

/**
 * Reads a file of litmus tests: one in herd's syntax, or the JSON form (a suite `{"tests": […]}`, a list or one test).
 *
 * @throws LitmusSyntaxError LITMUS_SYNTAX when it is neither.
 * @public
 */
export function readLitmus(text: string): LitmusCase[] {
  if (!/^\s*[[{]/.test(text)) return [caseOf(() => litmusFromHerd(text), undefined, undefined)];
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new LitmusSyntaxError("LITMUS_SYNTAX", `no litmus tests: ${(error as Error).message}`, {}, { cause: error });
  }
  const suite = typeof json === "object" && json !== null && "tests" in json ? json.tests : json;
  return (Array.isArray(suite) ? suite : [suite]).map((item) => {
    const parsed = parseTest(item);
    const { outcomes, verdict } = parsed;
    return caseOf(() => testOf(parsed), outcomes.ets2 ?? undefined, verdictIn(verdict?.ets2 ?? undefined));
  });
}

const VERDICTS: readonly LitmusVerdict[] = ["Allowed", "Forbidden", "Required", "Not required"];

/** Catalogues abbreviate. */
function verdictIn(text: string | undefined): LitmusVerdict | undefined {
  if (text === undefined || text.length < 5) return undefined;
  return VERDICTS.find((verdict) => verdict.startsWith(text));
}

function caseOf(
  read: () => LitmusTest,
  recorded: LitmusCase["recorded"],
  expected: LitmusVerdict | undefined,
): LitmusCase {
  try {
    const test = read();
    return { name: test.name, test, unsupported: undefined, recorded, expected: expected ?? test.expected };
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    const { test, what } = error.details as { test: string; what: string };
    return { name: test, test: undefined, unsupported: what, recorded, expected };
  }
}

/**
 * Runs a test and compares: outcome sets where they are recorded, verdicts otherwise.
 *
 * @public
 */
export function judgeLitmus(item: LitmusCase, rules: LitmusRules = {}): LitmusJudgement {
  const { name, test, recorded, expected } = item;
  const nothing = { missing: [], extra: [], reasons: [] };
  if (test === undefined) return { name, status: "unsupported", unsupported: item.unsupported!, ...nothing };
  let result: LitmusResult;
  try {
    result = runLitmus(test, rules);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return { name, status: "unsupported", unsupported: String(error.details["what"]), ...nothing };
  }
  const judged = { name, expected, result };
  if (recorded === undefined) {
    const compared = expected === undefined ? undefined : "verdict";
    return { ...judged, compared, ...nothing, ...byVerdict(result, expected) };
  }
  const theirs = new Set(recorded.map((outcome) => outcome.toSorted().join("; ")));
  const ours = new Set(result.outcomes.map((outcome) => outcome.join("; ")));
  const missing = [...theirs].filter((outcome) => !ours.has(outcome));
  const status = compareOutcomes(result, recorded);
  return {
    ...judged,
    compared: "outcomes",
    status,
    missing,
    extra: [...ours].filter((outcome) => !theirs.has(outcome)),
    reasons: status === "subset" ? reasonsFor(test, missing, rules) : [],
  };
}

/** Verdicts of which one is stricter: it has fewer outcomes than the other. */
const STRICTER: Readonly<Record<LitmusVerdict, LitmusVerdict>> = {
  Forbidden: "Allowed",
  Allowed: "Forbidden",
  Required: "Not required",
  "Not required": "Required",
};

function byVerdict(
  { verdict }: LitmusResult,
  expected: LitmusVerdict | undefined,
): { readonly status: LitmusStatus; readonly reasons: readonly LitmusReason[] } {
  if (expected === undefined) return { status: "unrecorded", reasons: [] };
  // Catalogues call "forall" that does not hold Allowed.
  if (verdict === expected || (verdict === "Not required" && expected === "Allowed"))
    return { status: "equal", reasons: [] };
  const stricter = STRICTER[verdict] === expected && (verdict === "Forbidden" || verdict === "Required");
  return stricter ? { status: "subset", reasons: ["verdict"] } : { status: "extra", reasons: [] };
}

/** Tests as they would be without one of the rules. */
const WITHOUT: readonly (readonly [LitmusReason, (test: LitmusTest) => LitmusTest])[] = [
  ["ordering", (test) => changed(test, (instruction) => unordered(instruction))],
  [
    "index",
    (test) => changed(test, (instruction) => ("after" in instruction ? { ...instruction, after: [] } : instruction)),
  ],
  ["faults", (test) => ({ ...test, faults: "fatal" })],
  ["handled", (test) => ({ ...test, faults: "handled" })],
];

function changed(test: LitmusTest, change: (instruction: Instruction) => Instruction): LitmusTest {
  return { ...test, agents: test.agents.map((instructions) => instructions.map((instruction) => change(instruction))) };
}

function unordered(instruction: Instruction): Instruction {
  if (instruction.kind === "store") return { ...instruction, release: false };
  return instruction.kind === "swap" ? { ...instruction, acquire: false, release: false } : instruction;
}

/** The fewest rules without which every missing outcome is reached, found by running the test without them. */
function reasonsFor(test: LitmusTest, missing: readonly string[], rules: LitmusRules): LitmusReason[] {
  const unsaid = test.faults === "unsaid";
  const reached = (left: readonly LitmusReason[]): boolean => {
    const without = WITHOUT.reduce((so, [name, change]) => (left.includes(name) ? change(so) : so), test);
    const ours = new Set(runLitmus(without, rules).outcomes.map((outcome) => outcome.join("; ")));
    return missing.every((outcome) => ours.has(outcome));
  };
  if (unsaid) {
    const choices: LitmusReason[][] = [
      ["ordering"],
      ["index"],
      ["faults"],
      ["handled"],
      ["ordering", "index"],
      ["ordering", "faults"],
      ["ordering", "handled"],
      ["ordering", "index", "faults"],
      ["ordering", "index", "handled"],
    ];
    const found = choices.find((choice) => reached(choice));
    if (found !== undefined) return found;
  }
  const swaps = test.agents.some((instructions) => instructions.some(({ kind }) => kind === "swap"));
  return [...(unsaid ? (["ordering"] as const) : []), swaps ? "swap" : "order"];
}

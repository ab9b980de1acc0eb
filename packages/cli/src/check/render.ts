import {
  closingSentence,
  type Counterexample,
  type Expectation,
  type Exploration,
  type Finding,
  type Problem,
  toMermaid,
  toPerfetto,
  toTable,
  wrap,
} from "@mmu-notifier/checker";

/** A finding with the shortest way to it. */
export interface Found {
  readonly finding: Finding;
  readonly counterexample: Counterexample;
}

/** What became of one scenario or script. */
export interface Outcome {
  readonly id: string;
  readonly title: string;
  readonly driver: string;
  readonly kernel: string;
  readonly arch: string;
  readonly skipped: string | undefined;
  readonly expectation: Expectation | undefined;
  readonly exploration: Exploration | undefined;
  readonly problems: readonly Problem[];
  readonly findings: readonly Found[];
}

/** Forms that a counterexample can be exported in. */
export type Form = "mermaid" | "perfetto" | "json";
export const FORMS: readonly Form[] = ["mermaid", "perfetto", "json"];

const WIDEST = 100;
/** Below this a column a task is no picture any more. */
const NARROWEST = 60;

/** Columns of text on a terminal of this width. */
export function columnsOf(width: number): number {
  return Math.max(NARROWEST, Math.min(width, WIDEST));
}

/** The verdicts of an outcome, each once; "passes" when there are none, "cut off" when the search was not complete. */
export function verdictsOf({ exploration, findings, problems, skipped }: Outcome): string {
  if (skipped !== undefined) return "skipped";
  const verdicts = new Set([
    ...problems.map(({ verdict }) => verdict),
    ...findings.map(({ finding }) => finding.verdict),
  ]);
  if (verdicts.size > 0) return [...verdicts].join("+");
  return exploration?.complete === false ? "cut off" : "passes";
}

/** A finding: verdict and object, the rule in words, the steps, one closing sentence, and how to see it again. */
export function renderFinding(
  outcome: Outcome,
  { finding, counterexample }: Found,
  again: string,
  width: number,
): string {
  const { arch, driver, id, kernel } = outcome;
  const { about, rule, verdict, what } = finding;
  const columns = columnsOf(width);
  return [
    "",
    `${id}: ${verdict} ${about}`,
    ...(rule === undefined || verdict === "LIVELOCK" ? wrap(what, columns) : []),
    ...(rule === undefined ? [] : wrap(`Broken: ${rule}`, columns)),
    "",
    toTable({ ...counterexample, error: undefined }, { width: columns, replayLine: false }),
    ...wrap(closingSentence(finding, counterexample, { arch, driver, kernel }), columns),
    `again: ${again}`,
  ].join("\n");
}

/** A schedule that was run again, with what each step changed, or in another form. */
export function renderReplay(
  counterexample: Counterexample | undefined,
  form: Form | undefined,
  width: number,
): string {
  if (counterexample === undefined) return "nothing to run";
  if (form === "json") return JSON.stringify(counterexample);
  return form === undefined
    ? toTable(counterexample, { width: columnsOf(width), changes: true })
    : drawn(counterexample, form);
}

/** The first finding in another form; undefined when nothing was found. */
export function exported({ findings: [first] }: Outcome, form: Form): string | undefined {
  if (first === undefined) return undefined;
  return form === "json" ? JSON.stringify(first) : drawn(first.counterexample, form);
}

function drawn(counterexample: Counterexample, form: "mermaid" | "perfetto"): string {
  return form === "mermaid" ? toMermaid(counterexample) : JSON.stringify(toPerfetto(counterexample));
}

/** An outcome as plain data. */
export function summaryOf(outcome: Outcome): object {
  const { arch, driver, exploration, expectation, findings, id, kernel, problems, skipped, title } = outcome;
  if (skipped !== undefined) return { scenario: id, title, driver, skipped };
  return {
    scenario: id,
    title,
    driver,
    kernel,
    arch,
    verdict: verdictsOf(outcome),
    expected: expectation?.verdict ?? "passes",
    ...(expectation?.perhaps === true ? { perhaps: true } : {}),
    because: expectation?.because,
    states: exploration?.states,
    transitions: exploration?.transitions,
    depth: exploration?.depth,
    bounds: exploration?.bounds,
    problems,
    findings: findings.map(({ finding, counterexample }) => ({
      verdict: finding.verdict,
      about: finding.about,
      what: finding.what,
      rule: finding.rule,
      closing: closingSentence(finding, counterexample, { arch, driver, kernel }),
      steps: counterexample.steps.length,
      replay: `${id}/${counterexample.replay}`,
    })),
  };
}

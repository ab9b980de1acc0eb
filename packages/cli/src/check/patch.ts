import { type PatchCase, type PatchKernel, patchKernels, patchQuestions, tryPatch, wrap } from "@mmu-notifier/checker";
import type { Context } from "../context.js";
import { boundsOf, type CheckFlags, formOf, named, replayParts, subject } from "./options.js";
import { outcomeOf } from "./outcome.js";
import { exported, type Outcome, renderFinding, renderReplay, summaryOf, verdictsOf } from "./render.js";
import { searchProgress } from "./search-progress.js";

type Question = (typeof patchQuestions)[number];

const ON_TRIAL: PatchKernel = "v6.4+upgrade-event";
const REPAIR: PatchKernel = "v6.4+upgrade-event-fixed";
const TITLES: Readonly<Record<PatchKernel, string>> = {
  "v6.4": "v6.4",
  [ON_TRIAL]: "patch",
  [REPAIR]: "repaired",
  "v6.12": "v6.12",
};
const WHO = 42;
const CASE = 9;
/** Columns of the table and what stands below its lines. */
const WIDEST = 100;
const COLUMN = 13;

/** What became of one case on each kernel. */
interface Row {
  readonly question: Question;
  readonly asked: PatchCase;
  readonly driver: string;
  readonly answers: ReadonlyMap<PatchKernel, Outcome>;
}

/** The questions about the patch, each answered by searches; true when the patch as written has a hole. */
export async function checkPatch(target: string, flags: CheckFlags, context: Context): Promise<boolean> {
  const { registry, driver, options } = await subject(target);
  const form = formOf(flags);
  if (flags.arch !== undefined) registry.find("architecture", flags.arch);
  const explored = boundsOf(flags);
  const trial = { registry, driver, options, ...(flags.arch === undefined ? {} : { arch: flags.arch }) };
  if (flags.replay !== undefined) {
    const [id, schedule] = replayParts(flags.replay);
    const [asked] = named(
      id,
      patchQuestions.flatMap(({ cases }) => cases),
      "case of a question",
    );
    const { counterexamples } = tryPatch(asked!, ON_TRIAL, trial, schedule);
    context.print(renderReplay(counterexamples?.[0], form, context.width));
    return false;
  }
  const questions = flags.scenarios === undefined ? patchQuestions : named(flags.scenarios, patchQuestions, "question");
  const progress = searchProgress(context);
  const rows: Row[] = [];
  if (flags.json !== true && form === undefined) context.print(heading(target));
  for (const question of questions) {
    if (flags.json !== true && form === undefined) context.print(`\n${question.id.padEnd(4)}${question.question}`);
    for (const asked of question.cases) {
      const answers = new Map<PatchKernel, Outcome>();
      for (const kernel of patchKernels) {
        const explore = { ...explored, ...progress.of(`${asked.id} on ${kernel}`) };
        const result = tryPatch(asked, kernel, { ...trial, explore });
        answers.set(kernel, outcomeOf(result, asked.driver?.driver ?? driver, asked.id));
      }
      progress.clear();
      const row = { question, asked, driver: driverText(asked, target), answers };
      rows.push(row);
      if (form !== undefined) {
        const text = exported(answers.get(ON_TRIAL)!, form);
        if (text === undefined) continue;
        context.print(text);
        return true;
      }
      context.print(flags.json === true ? JSON.stringify(plain(row)) : lines(row));
      if (flags.scenarios !== undefined && flags.json !== true) showFindings(row, target, flags, context);
    }
    if (flags.json !== true && form === undefined && question.open !== undefined)
      context.print(indented(`not decided by search: ${question.open}`, 4).join("\n"));
  }
  if (form !== undefined) context.warn("mmun: no case finds anything on the patch: there is nothing to export.");
  else if (flags.json !== true) context.print(conclusion(rows, flags));
  return rows.some(({ answers }) => isFinding(answers.get(ON_TRIAL)!));
}

function heading(target: string): string {
  return [
    `The patch on trial, driver ${target}; other drivers where a question is about others.`,
    "Every word below was found by a search: what goes wrong first, or that nothing does.",
    "",
    `${"".padEnd(WHO)}${patchKernels.map((kernel) => TITLES[kernel].padEnd(COLUMN)).join("")}`.trimEnd(),
  ].join("\n");
}

function driverText({ driver: choice }: PatchCase, target: string): string {
  if (choice === undefined) return target;
  const options = Object.entries(choice.options).map(([key, value]) => `${key}=${String(value)}`);
  return options.length === 0 ? choice.driver : `${choice.driver}:${options.join(",")}`;
}

function isFinding(outcome: Outcome): boolean {
  return outcome.findings.length > 0 || outcome.problems.length > 0;
}

/** A case: who is asked in what, the words, and what was found on the patch. */
function lines({ asked, driver, answers }: Row): string {
  const words = patchKernels.map((kernel) => verdictsOf(answers.get(kernel)!).padEnd(COLUMN)).join("");
  const { amended, because } = asked;
  const patch = answers.get(ON_TRIAL)!;
  const [found] = patch.findings;
  const what =
    patch.skipped ?? patch.problems[0]?.what ?? (found === undefined ? undefined : shortened(found.finding.what));
  const steps = found === undefined ? "" : `, in ${found.counterexample.steps.length} steps`;
  return [
    `    ${`${asked.scenario.id.padEnd(CASE - 4)}${driver}`.padEnd(WHO - 4)}${words}`.trimEnd(),
    ...indented(`${because}${amended === undefined ? "" : `; ${amended.words}`}`, CASE),
    ...(what === undefined ? [] : indented(`found: ${what}${steps}`, CASE)),
  ].join("\n");
}

const LONGEST = 150;

function shortened(what: string): string {
  return what.length <= LONGEST ? what : `${what.slice(0, LONGEST)} …`;
}

function indented(text: string, by: number): readonly string[] {
  return wrap(text, WIDEST - by).map((line) => `${"".padEnd(by)}${line}`);
}

function showFindings({ asked, answers }: Row, target: string, flags: CheckFlags, context: Context): void {
  const outcome = answers.get(ON_TRIAL)!;
  for (const found of outcome.findings) {
    const arch = flags.arch === undefined ? "" : ` --arch ${flags.arch}`;
    const again = `mmun check --patch ${target}${arch} --replay '${asked.id}/${found.counterexample.replay}'`;
    context.print(renderFinding(outcome, found, again, context.width));
  }
}

function conclusion(rows: readonly Row[], { fair }: CheckFlags): string {
  const ids = (kernel: PatchKernel): string =>
    [...new Set(rows.flatMap(({ answers, question }) => (isFinding(answers.get(kernel)!) ? [question.id] : [])))].join(
      " ",
    );
  const outcomes = rows.flatMap(({ answers }) => [...answers.values()]);
  const searched = outcomes.flatMap(({ exploration }) => (exploration === undefined ? [] : [exploration]));
  const states = searched.reduce((sum, exploration) => sum + exploration.states, 0);
  const cut = outcomes.filter((outcome) => !isFinding(outcome) && outcome.exploration?.complete === false);
  const bounds =
    cut.length === 0 ? "each complete or ended by what it found" : `cut off: ${cut.map(({ id }) => id).join(" ")}`;
  return [
    "",
    `Found in the patch as written: ${ids(ON_TRIAL) || "nothing"}.`,
    `Found in its repair: ${ids(REPAIR) || "nothing"}. Found in v6.12: ${ids("v6.12") || "nothing"}.`,
    `${searched.length} searches, ${states} states, ${bounds}; fairness by ${fair};`,
    "one device, page tables of two levels of small tables.",
    "`mmun check --patch --scenarios Q3` shows the steps of what a question finds.",
  ].join("\n");
}

function plain({ question, asked, driver, answers }: Row): object {
  const { amended, because, id, scenario, watches } = asked;
  return {
    question: question.id,
    text: question.question,
    ...(question.open === undefined ? {} : { open: question.open }),
    case: id,
    scenario: scenario.id,
    title: scenario.title,
    driver,
    because,
    watches,
    ...(amended === undefined ? {} : { amended: amended.words }),
    answers: Object.fromEntries(patchKernels.map((kernel) => [kernel, summaryOf(answers.get(kernel)!)])),
  };
}

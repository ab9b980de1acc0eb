import { checkScenario, checkScript, wrap } from "@mmu-notifier/checker";
import type { Context } from "../context.js";
import { UsageError } from "../errors.js";
import { table } from "../output/table.js";
import { shippedRegistry } from "../registry.js";
import { loadScripts } from "../run-scripts.js";
import { boundsOf, type CheckFlags, chosen, formOf, replayParts, subject } from "./options.js";
import { outcomeOf } from "./outcome.js";
import { columnsOf, exported, type Outcome, renderFinding, renderReplay, summaryOf, verdictsOf } from "./render.js";
import { searchProgress } from "./search-progress.js";

const NOTHING_TO_EXPORT = "mmun: nothing was found that has steps to export.";

/** A script by its name; everything else is a driver. */
export function isScript(target: string): boolean {
  return target === "-" || target.endsWith(".mm");
}

/** Puts a driver through the scenarios; true when something was found. */
export async function checkDriver(target: string, flags: CheckFlags, context: Context): Promise<boolean> {
  const { registry, driver, options } = await subject(target);
  const form = formOf(flags);
  const run = {
    driver,
    options,
    registry,
    ...(flags.kernel === undefined ? {} : { kernel: flags.kernel }),
    ...(flags.arch === undefined ? {} : { arch: flags.arch }),
  };
  if (flags.replay !== undefined) {
    const [id, schedule] = replayParts(flags.replay);
    const [scenario] = chosen({ ...flags, scenarios: id });
    const { counterexamples } = checkScenario(scenario!, { ...run, replay: schedule });
    context.print(renderReplay(counterexamples?.[0], form, context.width));
    return false;
  }
  const explored = boundsOf(flags);
  const progress = searchProgress(context);
  const outcomes: Outcome[] = [];
  for (const scenario of chosen(flags)) {
    const result = checkScenario(scenario, { ...run, explore: { ...explored, ...progress.of(scenario.id) } });
    progress.clear();
    const outcome = outcomeOf(result, driver);
    outcomes.push(outcome);
    if (form !== undefined) {
      const text = exported(outcome, form);
      if (text === undefined) continue;
      context.print(text);
      return true;
    }
    if (flags.json === true) context.print(JSON.stringify(summaryOf(outcome)));
    else context.print(lineOf(outcome));
  }
  if (form !== undefined) context.warn(NOTHING_TO_EXPORT);
  else if (flags.json !== true) report(outcomes, target, flags, context);
  return outcomes.some(({ findings, problems }) => findings.length > 0 || problems.length > 0);
}

function lineOf(outcome: Outcome): string {
  const { id, skipped, exploration, expectation, title } = outcome;
  if (skipped !== undefined) return `${id.padEnd(20)} –           ${skipped}`;
  const verdicts = verdictsOf(outcome);
  const states =
    exploration === undefined
      ? ""
      : `${exploration.states} states${exploration.complete ? "" : `, ${exploration.bounds}`}`;
  const as =
    expectation === undefined || verdicts === "passes" || expectation.verdict !== verdicts
      ? ""
      : `, as the rules say: ${expectation.because}`;
  return `${id.padEnd(20)} ${verdicts.padEnd(11)} ${title} (${states})${as}`;
}

function report(outcomes: readonly Outcome[], target: string, flags: CheckFlags, context: Context): void {
  const done = outcomes.filter(({ skipped }) => skipped === undefined);
  for (const outcome of done) {
    for (const { verdict, about, what } of outcome.problems)
      context.print(`\n${outcome.id}: ${verdict} ${about}: ${what}`);
    for (const found of outcome.findings) {
      const again = `mmun check ${target}${sameMachine(flags)} --replay '${outcome.id}/${found.counterexample.replay}'`;
      context.print(renderFinding(outcome, found, again, context.width));
    }
  }
  const rows = new Map<string, string[]>();
  for (const outcome of done) {
    const verdicts = verdictsOf(outcome);
    rows.set(verdicts, [...(rows.get(verdicts) ?? []), outcome.id]);
  }
  context.print(
    `\n${table(
      [...rows].map(([verdict, ids]) => [verdict, String(ids.length), ids.join(" ")]),
      ["verdict", "", "scenarios"],
    )}`,
  );
  const cut = done.filter(({ exploration }) => exploration?.complete === false);
  const [first] = done;
  const bounds =
    cut.length === 0
      ? "Every search is complete."
      : `Cut off: ${cut.map(({ id, exploration }) => `${id} (${exploration!.bounds})`).join(", ")}.`;
  const model = `Model: kernel ${first?.kernel ?? "?"}, ${first?.arch ?? "?"}, one device, page tables of two levels of small tables; CPUs walk on every access. Every interleaving of steps in one order; fairness by ${flags.fair}; no reduction. ${bounds}`;
  context.print(["", ...wrap(model, columnsOf(context.width))].join("\n"));
}

/** Explores the scripts of a file; true when something was found. */
export async function checkFile(target: string, flags: CheckFlags, context: Context): Promise<boolean> {
  const registry = await shippedRegistry();
  const form = formOf(flags);
  const explored = boundsOf(flags);
  const progress = searchProgress(context);
  const scripts = await loadScripts(target, flags, registry);
  if (flags.replay !== undefined && scripts.length > 1)
    throw new UsageError(
      `--replay: ${target} holds ${scripts.length} scripts. Say which with --script: ${scripts.map(({ name }) => name).join(", ")}`,
      { file: target },
    );
  let found = false;
  for (const script of scripts) {
    const result = checkScript(script, {
      registry,
      explore: { ...explored, ...progress.of(script.name) },
      ...(flags.kernel === undefined ? {} : { kernel: flags.kernel }),
      ...(flags.arch === undefined ? {} : { arch: flags.arch }),
      ...(flags.replay === undefined ? {} : { replay: flags.replay }),
    });
    progress.clear();
    if (flags.replay !== undefined) {
      context.print(renderReplay(result.counterexamples?.[0], form, context.width));
      return false;
    }
    const driver = script.devices.map((device) => device.driver).join(", ") || "none";
    const outcome = outcomeOf({ ...result, scenario: { id: script.name, title: "", script: "" } }, driver);
    found ||= outcome.findings.length > 0 || outcome.problems.length > 0;
    if (form !== undefined) {
      const text = exported(outcome, form);
      if (text === undefined) continue;
      context.print(text);
      return true;
    }
    context.print(
      flags.json === true ? JSON.stringify(summaryOf(outcome)) : scriptText(outcome, target, flags, context),
    );
  }
  if (form !== undefined) context.warn(NOTHING_TO_EXPORT);
  return found;
}

function scriptText(outcome: Outcome, target: string, flags: CheckFlags, context: Context): string {
  const { arch, exploration, findings, id, kernel, problems } = outcome;
  const searched =
    exploration === undefined
      ? "nothing was searched"
      : `kernel ${kernel}, ${arch}; ${exploration.states} states, ${exploration.transitions} transitions, ${exploration.bounds}; fairness by ${flags.fair}; no reduction`;
  const again = `mmun check ${target} --script ${id}${sameMachine(flags)}`;
  return [
    `${id}: ${verdictsOf(outcome)} (${searched})`,
    ...problems.map(({ verdict, about, what }) => `\n${verdict} ${about}: ${what}`),
    ...findings.map((one) =>
      renderFinding(outcome, one, `${again} --replay '${one.counterexample.replay}'`, context.width),
    ),
  ].join("\n");
}

/** The options that put the same machine together again. */
function sameMachine({ arch, driver, kernel }: CheckFlags): string {
  return [
    ...(kernel === undefined ? [] : [`--kernel ${kernel}`]),
    ...(arch === undefined ? [] : [`--arch ${arch}`]),
    ...driver.map((written) => `--driver ${written}`),
  ]
    .map((option) => ` ${option}`)
    .join("");
}

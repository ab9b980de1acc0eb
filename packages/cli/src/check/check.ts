import {
  checkScenario,
  counterexampleOf,
  explore,
  type ExploreOptions,
  type Model,
  patchQuestions,
  replay,
  scenarios,
  type ScenarioResult,
  scriptModel,
} from "@mmu-notifier/checker";
import type { PluginRegistry } from "@mmu-notifier/machine";
import { didYouMean } from "@mmu-notifier/steps";
import type { Context } from "../context.js";
import { UsageError } from "../errors.js";
import { table } from "../output/table.js";
import { resolveDriver, shippedRegistry } from "../registry.js";
import { loadScripts, parseDriver } from "../run-scripts.js";
import {
  exported,
  type Form,
  FORMS,
  type Outcome,
  renderFinding,
  renderReplay,
  summaryOf,
  verdictsOf,
} from "./render.js";

/** Options of `mmun check`. */
export interface CheckFlags {
  readonly kernel?: string;
  readonly arch?: string;
  readonly scenarios?: string;
  readonly basic?: boolean;
  readonly patch?: boolean;
  readonly fair: string;
  readonly bound: string;
  readonly replay?: string;
  readonly export?: string;
  readonly driver: readonly string[];
  readonly script?: string;
  readonly json?: boolean;
}

/** Milliseconds of one step after which it counts as endless. */
const STEP_TIME = 10_000;

/** A script by its name; everything else is a driver. */
export function isScript(target: string): boolean {
  return target === "-" || target.endsWith(".mm");
}

function optionsOf({ fair, bound }: CheckFlags, context: Context): ExploreOptions {
  if (fair !== "task" && fair !== "cpu") throw new UsageError(`--fair ${fair}: expected task or cpu`, { fair });
  const maxStates = Number(bound);
  if (!Number.isInteger(maxStates) || maxStates < 1)
    throw new UsageError(`--bound ${bound}: expected a number of states, 1 or more`, { bound });
  const started = performance.now();
  return {
    liveness: fair,
    maxStates,
    stepTimeout: STEP_TIME,
    ...(context.interactive
      ? {
          onProgress: (states, transitions) => {
            const rate = Math.round(states / Math.max(0.001, (performance.now() - started) / 1000));
            if (states > 1) process.stderr.write(`\r${states} states, ${transitions} transitions, ${rate} states/s `);
          },
        }
      : {}),
  };
}

function formOf({ export: form }: CheckFlags): Form | undefined {
  if (form === undefined) return undefined;
  if (FORMS.includes(form as Form)) return form as Form;
  throw new UsageError(`--export ${form}: expected ${FORMS.join(", ")}`, { export: form });
}

function chosen({ scenarios: names, basic = false }: CheckFlags): typeof scenarios {
  if (names === undefined) return basic ? scenarios.filter(({ variant = false }) => !variant) : scenarios;
  return names.split(",").map((name) => {
    const found = scenarios.find(({ id }) => id.toLowerCase() === name.trim().toLowerCase());
    if (found !== undefined) return found;
    const ids = scenarios.map(({ id }) => id);
    throw new UsageError(
      `--scenarios ${name}: there is no such scenario.${didYouMean(name, ids)} There are ${ids.join(", ")}`,
      {
        scenarios: name,
      },
    );
  });
}

interface Subject {
  readonly registry: PluginRegistry;
  readonly driver: string;
  readonly options: Readonly<Record<string, string | number | boolean>>;
}

async function subject(written: string): Promise<Subject> {
  const registry = await shippedRegistry();
  const { driver, options } = parseDriver(written);
  return { registry, driver: await resolveDriver(registry, driver, process.cwd()), options };
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
    const [, id = "", schedule = ""] = /^([^/]*)\/(.*)$/s.exec(flags.replay) ?? [];
    const [scenario] = chosen({ ...flags, scenarios: id });
    const { counterexamples } = checkScenario(scenario!, { ...run, replay: schedule });
    context.print(renderReplay(counterexamples?.[0], context.width));
    return false;
  }
  const explored = optionsOf(flags, context);
  const outcomes: Outcome[] = [];
  for (const scenario of chosen(flags)) {
    const result = checkScenario(scenario, { ...run, explore: explored });
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
  if (flags.json !== true && form === undefined) report(outcomes, target, flags, context);
  return outcomes.some(({ findings, problems }) => findings.length > 0 || problems.length > 0);
}

function outcomeOf(
  { scenario, skipped, expectation, exploration, problems, counterexamples, kernel, arch }: ScenarioResult,
  driver: string,
): Outcome {
  return {
    id: scenario.id,
    title: scenario.title,
    driver,
    skipped,
    expectation,
    exploration,
    problems: problems ?? [],
    kernel: kernel ?? "",
    arch: arch ?? "",
    findings: (exploration?.findings ?? []).flatMap((finding, index) =>
      finding.severity === "error" ? [{ finding, counterexample: counterexamples![index]! }] : [],
    ),
  };
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
      const again = `mmun check ${target}${flags.kernel === undefined ? "" : ` --kernel ${flags.kernel}`}${flags.arch === undefined ? "" : ` --arch ${flags.arch}`} --replay '${outcome.id}/${found.counterexample.replay}'`;
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
  context.print(
    `\nModel: kernel ${first?.kernel ?? "?"}, ${first?.arch ?? "?"}, one device, page tables of two levels of small tables; CPUs walk on every access. Every interleaving of steps in one order; ` +
      `fairness by ${flags.fair}; no reduction. ${cut.length === 0 ? "Every search is complete." : `Cut off: ${cut.map(({ id, exploration }) => `${id} (${exploration!.bounds})`).join(", ")}.`}`,
  );
}

/** Explores the scripts of a file; true when something was found. */
export async function checkFile(target: string, flags: CheckFlags, context: Context): Promise<boolean> {
  const registry = await shippedRegistry();
  const form = formOf(flags);
  let found = false;
  for (const script of await loadScripts(target, flags, registry)) {
    const given = {
      registry,
      ...(flags.kernel === undefined ? {} : { kernel: flags.kernel }),
      ...(flags.arch === undefined ? {} : { arch: flags.arch }),
    };
    const { model, session, problems } = scriptModel(script, given);
    const rebuild = (): Model => scriptModel(script, given).model;
    const { profile, arch } = session.machine.kernel;
    try {
      if (flags.replay !== undefined) {
        context.print(renderReplay(replay(model, flags.replay), context.width));
        continue;
      }
      const exploration = explore(model, { ...optionsOf(flags, context), rebuild });
      const outcome: Outcome = {
        id: script.name,
        title: "",
        driver: script.devices.map(({ driver }) => driver).join(", ") || "none",
        skipped: undefined,
        expectation: undefined,
        exploration,
        problems,
        kernel: profile.name,
        arch: arch.name,
        findings: exploration.findings
          .filter(({ severity }) => severity === "error")
          // What a driver keeps for itself is as the search left it: such a model is shown from the start.
          .map((finding) => ({
            finding,
            counterexample: counterexampleOf(exploration.reexecuted ? rebuild() : model, finding),
          })),
      };
      found ||= outcome.findings.length > 0 || problems.length > 0;
      if (form !== undefined) {
        const text = exported(outcome, form);
        if (text !== undefined) context.print(text);
      } else if (flags.json === true) context.print(JSON.stringify(summaryOf(outcome)));
      else {
        const { states, transitions, bounds } = exploration;
        context.print(
          `${script.name}: ${verdictsOf(outcome)} (kernel ${profile.name}, ${arch.name}; ${states} states, ${transitions} transitions, ${bounds}; fairness by ${flags.fair}; no reduction)`,
        );
        for (const { verdict, about, what } of problems) context.print(`\n${verdict} ${about}: ${what}`);
        for (const one of outcome.findings)
          context.print(
            renderFinding(
              outcome,
              one,
              `mmun check ${target} --script ${script.name} --replay '${one.counterexample.replay}'`,
              context.width,
            ),
          );
      }
    } finally {
      session.close();
    }
  }
  return found;
}

const ON_TRIAL = ["v6.4", "v6.4+upgrade-event", "v6.4+upgrade-event-fixed", "v6.12"];

/** The questions about the patch, each answered by search; true when the patch as written has a hole. */
export async function checkPatch(target: string, flags: CheckFlags, context: Context): Promise<boolean> {
  const { registry, driver, options } = await subject(target);
  const explored = optionsOf(flags, context);
  const known = new Map<string, string>();
  const verdict = (id: string, kernel: string): string => {
    const key = `${id} ${kernel}`;
    let answer = known.get(key);
    if (answer === undefined) {
      const scenario = scenarios.find((candidate) => candidate.id === id)!;
      const result = checkScenario(scenario, {
        driver,
        options,
        registry,
        kernel,
        explore: explored,
        ...(flags.arch === undefined ? {} : { arch: flags.arch }),
      });
      answer = verdictsOf(outcomeOf(result, driver));
      known.set(key, answer);
    }
    return answer;
  };
  const rows = patchQuestions.flatMap(({ id, question, scenarios: ids, undecided }) =>
    ids.length === 0
      ? [{ id, question, scenario: "", answers: [undecided ?? ""] }]
      : ids.map((scenario, index) => ({
          id: index === 0 ? id : "",
          question: index === 0 ? question : "",
          scenario,
          answers: ON_TRIAL.map((kernel) => verdict(scenario, kernel)),
        })),
  );
  if (flags.json === true) for (const row of rows) context.print(JSON.stringify({ ...row, kernels: ON_TRIAL }));
  else {
    context.print(`The patch on trial: driver ${driver}, found by search. Kernels: ${ON_TRIAL.join(", ")}.\n`);
    for (const { id, question, scenario, answers } of rows) {
      if (question !== "") context.print(`${id.padEnd(4)}${question}`);
      context.print(
        scenario === ""
          ? `    not decided: ${answers[0]}`
          : `    ${scenario.padEnd(5)}${answers.map((answer) => answer.padEnd(12)).join("")}`.trimEnd(),
      );
    }
  }
  return rows.some(({ answers }) => answers.length > 1 && answers[1] !== "passes");
}

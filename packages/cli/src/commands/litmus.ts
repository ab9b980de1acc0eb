import { basename } from "node:path";
import { type Agents, judgeLitmus, type LitmusCase } from "@mmu-notifier/checker";
import { Argument, type Command, Option } from "commander";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { refuse } from "../option-clash.js";
import { counts, type LitmusSet, renderLitmus } from "../output/litmus.js";
import { compareModes, MODES, modesAsJson, renderModes } from "../output/litmus-modes.js";
import { readTests, readVerdicts, shippedTests } from "../read-tests.js";

interface LitmusFlags {
  readonly agents: Agents | "all";
  readonly verdicts?: string;
  readonly show: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

function shown(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 0) return count;
  throw new UsageError(`--show ${text}: expected how many tests of each kind to name, 0 or more`, { show: text });
}

/** Catalogues abbreviate: a verdict is told by its first letters. */
function verdictOf(text: string | undefined): LitmusCase["expected"] {
  if (text === undefined || text.length < 5) return undefined;
  return (["Allowed", "Forbidden", "Required"] as const).find((verdict) => verdict.startsWith(text));
}

function isFinding({ judgements }: LitmusSet, own: boolean): boolean {
  return judgements.some(({ status }) => status === "extra" || (own && status !== "equal"));
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .addArgument(
      new Argument("[file...]", "tests: herd's .litmus, the JSON form (plain, gzip or zstd), or a folder").default(
        [],
        "the project's own tests",
      ),
    )
    .addOption(
      new Option("--agents <mode>", "who hears an invalidation that another agent issues")
        .choices([...MODES, "all"])
        .default("btm"),
    )
    .option("--verdicts <file>", "verdicts of the tests: a name and a word in each line, as catalogues have them")
    .option("--show <n>", "name the first n tests of each kind", "5")
    .option("--verbose", "a line for each test")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Each test is run in every order that Arm's memory model leaves open, and what it can end in is compared with what was recorded
against FEAT_ETS2: equal, fewer outcomes (stricter), or extra ones, which are a defect of the model: exit code 1.

Agents:
  btm       broadcast invalidations reach every agent
  notifier  they do not, but a notifier forwards every one, and its completion is waited for
  filtered  as notifier, but upgrades are filtered
  none      they stay where they are issued
  all       a table of the tests that change between the four

Examples:
  mmun litmus
  mmun litmus arm-vmsa.json.gz
  mmun litmus herdtools7/catalogue/aarch64-VMSA/tests --verdicts VMSA-ETS2-kinds.txt
  mmun litmus --agents all`,
    )
    .action(async (files: readonly string[], flags: LitmusFlags) => {
      if (flags.json === true) refuse(command, ["verbose", "show"], "with --json, which has every test. Leave one out");
      if (flags.agents === "all")
        refuse(
          command,
          ["verbose", "show", "verdicts"],
          "with --agents all, a table of the tests that change. Leave one out",
        );
      const show = shown(flags.show);
      const verdicts = flags.verdicts === undefined ? new Map<string, string>() : readVerdicts(flags.verdicts);
      const own = files.length === 0;
      const sets: { readonly name: string; readonly cases: readonly LitmusCase[] }[] = [];
      for (const file of own ? [shippedTests()] : files) {
        const cases: LitmusCase[] = [];
        for (const item of await readTests(file)) {
          const expected = verdictOf(verdicts.get(item.name)) ?? item.expected;
          cases.push({ ...item, expected });
        }
        sets.push({ name: own ? "the project's own tests" : basename(file), cases });
      }
      if (flags.agents === "all") {
        const tables = sets.map(({ name, cases }) => compareModes(name, cases));
        if (flags.json === true) context.print(JSON.stringify({ sets: tables.map((set) => modesAsJson(set)) }));
        else context.print(tables.map((set) => renderModes(set, context)).join("\n\n"));
        done(EXIT_OK);
        return;
      }
      const agents = flags.agents;
      const judged = sets.map(({ name, cases }) => ({
        name,
        judgements: cases.map((item) => judgeLitmus(item, { agents })),
      }));
      if (flags.json === true) context.print(JSON.stringify({ agents, sets: judged.map((set) => asJson(set)) }));
      else context.print(judged.map((set) => renderLitmus(set, context, show, flags.verbose === true)).join("\n\n"));
      done(judged.some((set) => isFinding(set, own)) ? EXIT_FINDING : EXIT_OK);
    });
}

function asJson(set: LitmusSet): object {
  const tests = set.judgements.map(
    ({ name, status, compared, unsupported, expected, result, missing, extra, reasons }) => ({
      name,
      status,
      compared,
      unsupported,
      verdict: result?.verdict,
      expected,
      states: result?.states,
      missing,
      extra,
      reasons,
    }),
  );
  return { name: set.name, ...counts(set), tests };
}

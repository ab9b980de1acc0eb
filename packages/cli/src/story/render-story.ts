import { type Trial, UPGRADE_SCENARIOS, verdictCell } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import { table } from "../output/table.js";
import { paintVerdict, verdictLegend } from "../output/paint-verdict.js";
import type { Story } from "./story.js";
import type { TraceSummary } from "./traces.js";
import type { UnderLock } from "./under-lock.js";
import { KERNELS, VARIANTS } from "./variants.js";

type Colors = Context["colors"];

/** The story as text, at most 100 columns wide. */
export function renderStory(story: Story, { colors }: Context): string {
  return [
    colors.bold("A page becomes writable. Who hears of it?"),
    "",
    "A device reads a page and caches the translation, read-only. Then it writes. The kernel gives the page",
    "the right to be written, on the same frame. arm64, no hardware dirty bits; each cell is a machine of its own.",
    ...UPGRADE_SCENARIOS.flatMap((scenario) => [
      "",
      trialTable(story.trials, scenario.name, `${scenario.title} (${scenario.path})`, colors),
    ]),
    "",
    ...verdictLegend(colors),
    "",
    colors.bold("Where does the patch send it? Once under a spinlock"),
    "",
    "  A private mapping of DAX memory is forked and written: __wp_page_copy_user(), the fourth place of the patch.",
    underLockTable(story.underLock, colors),
    "",
    colors.bold("What does the event cost? Three recorded programs, replayed"),
    ...story.traces.flatMap((trace) => ["", traceTable(trace, colors)]),
    "",
    colors.bold("Next"),
    ...story.next.map((command) => `  ${command}`),
  ].join("\n");
}

function trialTable(trials: readonly Trial[], scenario: string, title: string, colors: Colors): string {
  const of = (driver: string, kernel: string): Trial =>
    trials.find((trial) => trial.scenario === scenario && trial.driver === driver && trial.kernel === kernel)!;
  const rows = VARIANTS.map(({ title: driver }) =>
    [driver].concat(KERNELS.map((kernel) => paintVerdict(verdictCell(of(driver, kernel)), of(driver, kernel), colors))),
  );
  const head = ["", ...KERNELS.map((kernel) => colors.dim(kernel.replace("v6.4+upgrade-event", "+event")))];
  return `  ${colors.bold(title)}\n${table(rows, head)}`;
}

function underLockTable(outcomes: readonly UnderLock[], colors: Colors): string {
  const rows = outcomes.map(({ kernel, outcome, call, path, lock }) => [
    colors.dim(kernel),
    outcome === "written"
      ? "written"
      : `${colors.red(outcome)}: ${path?.split(" -> ").at(-1)}() calls ${call}(), which may sleep, under ${lock}`,
  ]);
  return table(rows);
}

function traceTable(summary: TraceSummary, colors: Colors): string {
  const { title, notifications, agree, recorded, silentUpgrades, upgradeEvents } = summary;
  const rows = summary.drivers.map(({ driver, delivered, commands, refills, upgrade }) => [
    driver,
    `${delivered}`,
    `${commands}`,
    `${refills}`,
    upgrade.filtered > 0 ? `${upgrade.filtered} filtered` : `${signed(upgrade.delivered)} calls`,
    signed(upgrade.commands),
    signed(upgrade.refills),
  ]);
  const head = ["", "calls", "commands", "refills", "the event adds", "commands", "refills"].map((text) =>
    colors.dim(text),
  );
  return [
    `  ${colors.bold(title)}`,
    `  ${notifications} notifications (${agree} of the ${recorded} recorded ones agree), ${silentUpgrades} silent upgrades, ${upgradeEvents} events`,
    table(rows, head),
  ].join("\n");
}

const signed = (count: number): string => (count < 0 ? `${count}` : `+${count}`);

import type { Context } from "../context.js";
import { table } from "../output/table.js";
import { KERNELS, SCENARIOS, VARIANTS } from "./scenarios.js";
import type { Story } from "./story.js";
import type { TraceSummary } from "./traces.js";
import type { Trial } from "./trial.js";

type Colors = Context["colors"];

/** The story as text, at most 100 columns wide. */
export function renderStory(story: Story, { colors }: Context): string {
  return [
    colors.bold("A page becomes writable. Who hears of it?"),
    "",
    "A device reads a page and caches the translation, read-only. Then it writes. The kernel gives the page",
    "the right to be written, on the same frame. arm64, no hardware dirty bits; each cell is a machine of its own.",
    ...SCENARIOS.flatMap((scenario) => [
      "",
      trialTable(story.trials, scenario.name, `${scenario.title} (${scenario.path})`, colors),
    ]),
    "",
    `  ${colors.red("LIVELOCK")} is proved: two retries found the whole machine in the same state.`,
    "  1f 2c: one device fault and two commands (RESUME aside) until the write succeeded. The driver was told through the",
    `  ${colors.green("event")} MMU_NOTIFY_PROTECTION_UPGRADE or the secondary-TLB ${colors.green("hook")}; filtered: sent, but the driver does not want it;`,
    "  untold: nothing was sent.",
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
    [driver].concat(KERNELS.map((kernel) => cell(of(driver, kernel), colors))),
  );
  const head = ["", ...KERNELS.map((kernel) => colors.dim(kernel.replace("v6.4+upgrade-event", "+event")))];
  return `  ${colors.bold(title)}\n${table(rows, head)}`;
}

function cell({ outcome, faults, commands, upgrade, through }: Trial, colors: Colors): string {
  if (outcome === "livelock") return colors.red("LIVELOCK");
  if (outcome === "aborted") return colors.yellow("aborted");
  const spent = Object.entries(commands).reduce((all, [name, count]) => all + (name === "CMD_RESUME" ? 0 : count), 0);
  return `${faults}f ${spent}c ${told(upgrade, through, colors)}`;
}

function told(upgrade: Trial["upgrade"], through: Trial["through"], colors: Colors): string {
  if (upgrade === "filtered") return "filtered";
  if (upgrade === "not sent") return "untold";
  return colors.green(through === "MMU_NOTIFY_PROTECTION_UPGRADE" ? "event" : "hook");
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

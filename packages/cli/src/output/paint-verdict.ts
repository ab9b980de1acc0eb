import type { Trial } from "@mmu-notifier/script";
import type { Context } from "../context.js";

type Colors = Context["colors"];

/** The cell of a trial in colour: red cannot go on, yellow gave up, green was told. */
export function paintVerdict(text: string, { outcome, upgrade }: Trial, colors: Colors): string {
  if (outcome === "livelock") return colors.red(text);
  if (outcome === "aborted") return colors.yellow(text);
  return upgrade === "delivered" ? text.replace(/\w+$/, (word) => colors.green(word)) : text;
}

/** What the cells mean. */
export function verdictLegend(colors: Colors): readonly string[] {
  return [
    `  ${colors.red("LIVELOCK")} is proved: two retries found the whole machine in the same state.`,
    "  1f 2c: one device fault and two commands (RESUME aside) until the write succeeded. The driver was told through the",
    `  ${colors.green("event")} MMU_NOTIFY_PROTECTION_UPGRADE or the secondary-TLB ${colors.green("hook")}; filtered: sent, but the driver does not want it;`,
    "  untold: nothing was sent.",
  ];
}

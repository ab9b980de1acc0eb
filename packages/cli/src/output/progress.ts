import { Presets, SingleBar } from "cli-progress";
import type { Context } from "../context.js";

/** Below this number of steps nobody needs a bar. */
const WORTH_A_BAR = 50;

/** A bar on stderr for long work on a terminal; otherwise nothing. */
export function progress(context: Context, steps: number, wanted = true): { step(): void; stop(): void } {
  if (!wanted || !context.interactive || steps < WORTH_A_BAR) return { step: () => undefined, stop: () => undefined };
  const bar = new SingleBar(
    { format: "{bar} {value}/{total} scripts, {eta_formatted} left", stream: process.stderr, clearOnComplete: true },
    Presets.shades_classic,
  );
  bar.start(steps, 0);
  return { step: () => bar.increment(), stop: () => bar.stop() };
}

import type { Happening } from "@mmu-notifier/script";
import type { Context } from "../context.js";

/** What devices did in an op: lookups, walks, faults, and commands counted by mnemonic. */
export function deviceLines(happened: readonly Happening[], colors: Context["colors"]): string[] {
  const lines: string[] = [];
  let device = "";
  let words: { text: string; times: number }[] = [];
  const flush = (): void => {
    if (words.length > 0)
      lines.push(`${device} ${folded(words.map(({ text, times }) => (times > 1 ? `${text} ×${times}` : text)))}`);
    words = [];
  };
  for (const one of happened) {
    if (one.kind === "driver-error") {
      flush();
      lines.push(colors.red("driver threw"));
      continue;
    }
    if (one.kind !== "device") continue;
    const text = wordOf(one.event, colors);
    if (text === undefined) continue;
    if (one.device !== device) {
      flush();
      device = one.device;
    }
    const before = words.at(-1);
    if (before?.text === text) before.times++;
    else words.push({ text, times: 1 });
  }
  flush();
  return lines;
}

/** Words in order; when the whole line is one sequence again and again, the sequence and how often. */
function folded(words: readonly string[]): string {
  for (let period = 2; period <= words.length / 2; period++) {
    if (words.length % period !== 0 || words.some((word, i) => word !== words[i % period])) continue;
    return `(${words.slice(0, period).join(", ")}) ×${words.length / period}`;
  }
  return words.join(", ");
}

function wordOf(event: Extract<Happening, { kind: "device" }>["event"], colors: Context["colors"]): string | undefined {
  switch (event.kind) {
    case "lookup":
      return event.cache === "walk-cache" ? undefined : `${event.cache} ${event.hit ? "hit" : "miss"}`;
    case "command":
      // The response says the same and with what.
      return event.mnemonic === "CMD_RESUME" ? undefined : event.mnemonic.replace(/^CMD_/, "");
    case "fault":
      return colors.yellow(event.code);
    case "response":
      return event.response.toLowerCase();
    case "error":
      return colors.red(event.code);
    case "walk-read":
    case "insert":
    case "evict":
    case "executed":
    case "access":
      return undefined;
  }
}

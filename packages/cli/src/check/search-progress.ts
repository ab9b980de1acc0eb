import type { ExploreOptions } from "@mmu-notifier/checker";
import type { Context } from "../context.js";

const CLEAR = "\r\u001B[K";

/** What a search has come to so far, on one line of stderr that is rewritten; nothing where nobody looks. */
export interface SearchProgress {
  /** What an exploration called `name` reports to. */
  of(name: string): Pick<ExploreOptions, "onProgress">;
  /** Takes the line away before something else is printed. */
  clear(): void;
}

export function searchProgress({ interactive }: Context): SearchProgress {
  if (!interactive) return { of: () => ({}), clear: () => undefined };
  const write = (text: string): void => void process.stderr.write(`${CLEAR}${text}`);
  return {
    of: (name) => {
      const started = performance.now();
      write(name);
      return {
        onProgress: (states, transitions) => {
          const seconds = (performance.now() - started) / 1000;
          if (seconds < 0.5) return;
          write(`${name}: ${states} states, ${transitions} transitions, ${Math.round(states / seconds)} states/s`);
        },
      };
    },
    clear: () => write(""),
  };
}

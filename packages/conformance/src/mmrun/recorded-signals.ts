import type { OpResult } from "@mmu-notifier/script";

type Signals = NonNullable<OpResult["sigs"]>;

/** The recorder writes signals of a range down until their text is this long; what comes after is lost. */
const TEXT_LIMIT = 2900;

/** The signals of a range that a recording keeps. */
export function recordedSignals(signals: Signals | undefined): Signals | undefined {
  if (signals === undefined) return undefined;
  let length = 0;
  for (let i = 0; i < signals.length; i++) {
    if (length >= TEXT_LIMIT) return signals.slice(0, i);
    length += textLength(signals[i]!) + (i === 0 ? 0 : 1);
  }
  return signals;
}

/** Characters of `[page,"SIGNAL",code]`. */
function textLength([page, signal, code]: Signals[number]): number {
  return digits(page) + digits(code) + signal.length + 6;
}

function digits(count: number): number {
  let found = 1;
  for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) found++;
  return found;
}

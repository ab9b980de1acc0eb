import type { OpResult } from "@mmu-notifier/script";

type Signals = NonNullable<OpResult["sigs"]>;

/** The recorder writes signals of a range down until their text is this long; what comes after is lost. */
const TEXT_LIMIT = 2900;

/** The signals of a range that a recording keeps. */
export function recordedSignals(signals: Signals | undefined): Signals | undefined {
  if (signals === undefined) return undefined;
  let length = 0;
  const kept = signals.findIndex((signal) => {
    if (length >= TEXT_LIMIT) return true;
    length += JSON.stringify(signal).length + (length === 0 ? 0 : 1);
    return false;
  });
  return kept < 0 ? signals : signals.slice(0, kept);
}

/** Edit distance with adjacent swaps, so that `unmpa` is one step from `unmap`. Names are short: the table is small. */
function distance(a: string, b: string): number {
  let older: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, older[j - 2]! + 1);
      row.push(best);
    }
    older = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** The known name that somebody who wrote `name` most likely meant, within a third of its length; undefined when none is near. */
export function nearMiss(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestAway = Math.max(1, Math.floor(name.length / 3));
  for (const word of known) {
    if (Math.abs(word.length - name.length) > bestAway) continue;
    const away = distance(name.toLowerCase(), word.toLowerCase());
    if (away <= bestAway && (best === undefined || away < bestAway)) {
      best = word;
      bestAway = away;
    }
  }
  return best;
}

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

/** Words outside of these lengths are not worth comparing. */
const SHORTEST = 2;
const LONGEST = 64;

/**
 * The known names that somebody who typed `name` may have meant, at most three that are equally near and within a third of their
 * length. Case does not count; a name whose beginning was typed is nearest.
 *
 * @public
 */
export function nearMisses(name: string, known: Iterable<string>): readonly string[] {
  if (name.length < SHORTEST || name.length > LONGEST) return [];
  const typed = name.toLowerCase();
  const near: { readonly word: string; readonly away: number }[] = [];
  for (const word of known) {
    const lower = word.toLowerCase();
    const allowed = Math.max(1, Math.floor(Math.max(lower.length, typed.length) / 3));
    if (Math.abs(lower.length - typed.length) > allowed && !lower.startsWith(typed)) continue;
    const away = typed.length >= 3 && lower.startsWith(typed) ? 0.5 : distance(typed, lower);
    if (away <= allowed) near.push({ word, away });
  }
  const nearest = Math.min(...near.map(({ away }) => away));
  return near
    .filter(({ away }) => away === nearest)
    .slice(0, 3)
    .map(({ word }) => word);
}

/** ` Did you mean "a" or "b"?`, or the empty string. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const near = nearMisses(name, known);
  if (near.length === 0) return "";
  return ` Did you mean ${near.map((word) => JSON.stringify(word)).join(" or ")}?`;
}

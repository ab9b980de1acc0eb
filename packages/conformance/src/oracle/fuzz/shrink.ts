/** A script as the shrinker sees it: the size of its arena, and its lines. */
export interface Shrinkable {
  readonly arena: number;
  readonly lines: readonly string[];
}

/** Base pages of a huge page: multiples of it are small steps for places in large arenas. */
const HUGE = 512;

/**
 * The smallest script near the given one that still fails: lines are taken out in ever smaller chunks (delta debugging), then
 * numbers are made smaller and words left out, until nothing more can go.
 *
 * @param fails whether a script still shows what is looked for; what is no script does not
 * @param budget how often `fails` may be asked
 */
export async function shrink(
  start: Shrinkable,
  fails: (script: Shrinkable) => Promise<boolean>,
  budget: number,
): Promise<Shrinkable> {
  let best = start;
  let left = budget;
  const better = async (candidate: Shrinkable): Promise<boolean> => {
    if (left <= 0) return false;
    left--;
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (;;) {
    const before = best;
    await dropLines(() => best, better);
    await smallerLines(() => best, better);
    for (const arena of smallerNumbers(best.arena)) if (arena > 0 && (await better({ ...best, arena }))) break;
    // Without a change, or without runs that are left, another round finds nothing.
    if (best === before) return best;
  }
}

type Better = (candidate: Shrinkable) => Promise<boolean>;

async function dropLines(best: () => Shrinkable, better: Better): Promise<void> {
  for (let size = Math.ceil(best().lines.length / 2); size >= 1; size = Math.floor(size / 2)) {
    // From the end: what comes last depends on most, and nothing depends on it.
    for (let at = best().lines.length - size; at > -size; at -= size) {
      const { arena, lines } = best();
      const first = Math.max(0, at);
      await better({ arena, lines: [...lines.slice(0, first), ...lines.slice(at + size)] });
    }
  }
}

async function smallerLines(best: () => Shrinkable, better: Better): Promise<void> {
  for (let line = 0; line < best().lines.length; line++) {
    for (let word = 1; word < (best().lines[line] ?? "").split(" ").length; word++) {
      let again = true;
      while (again) {
        const { arena, lines } = best();
        const words = lines[line]!.split(" ");
        again = false;
        for (const other of smallerWords(words[word] ?? "")) {
          const changed = [...words.slice(0, word), ...other, ...words.slice(word + 1)].join(" ");
          again = await better({ arena, lines: lines.with(line, changed) });
          if (again) break;
        }
      }
    }
  }
}

/** What may stand in place of a word: nothing, or a smaller number. */
function* smallerWords(word: string): Generator<readonly string[]> {
  if (!/^\d+$/.test(word)) {
    if (word !== "") yield [];
    return;
  }
  for (const number of smallerNumbers(Number(word))) yield [String(number)];
}

/** Smaller numbers, the smallest first. */
function smallerNumbers(number: number): readonly number[] {
  const candidates = [0, 1, number >> 1, number - HUGE, number - 16, number - 1];
  if (number > HUGE) candidates.push(Math.floor((number - 1) / HUGE) * HUGE);
  return [...new Set(candidates)].filter((value) => value >= 0 && value < number).sort((a, b) => a - b);
}

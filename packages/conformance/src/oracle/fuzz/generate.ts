import { parseScripts, type Script } from "@mmu-notifier/script";
import { Draft } from "./draft.js";
import { MOVES, type MoveName } from "./moves.js";
import { HugePlaces, type Places, SmallPlaces } from "./places.js";
import { type Profile, PROFILES } from "./profiles.js";
import { Random } from "./random.js";

/** A script of which it is known how it came about. */
export interface FuzzedScript {
  readonly script: Script;
  readonly text: string;
}

/** Names of the profiles, in the order in which they take turns. */
export const fuzzProfiles: readonly string[] = PROFILES.map(({ name }) => name);

/**
 * The `index`-th script of a seed. The same arguments give the same script, whatever else is generated.
 *
 * @param only profiles that take turns; all by default
 */
export function fuzzScript(seed: number, index: number, only: readonly string[] = fuzzProfiles): FuzzedScript {
  const profiles = PROFILES.filter(({ name }) => only.includes(name));
  const profile = profiles[index % profiles.length]!;
  const random = new Random(seed, index);
  const places = placesOf(profile, random);
  const draft = new Draft(random, places, profile.mappings);
  begin(draft, profile);
  const moves = Object.entries(profile.moves).map(([name, weight]) => [weight, MOVES[name as MoveName]] as const);
  const length = random.between(10, profile.places === "small" ? 36 : 26);
  while (draft.lines.length < length) random.weighted(moves)(draft);
  sweep(draft, profile);
  const name = `f${seed}-${profile.name}-${index}`;
  const text = `== ${name} arena ${places.arena}\n${draft.lines.join("\n")}\n`;
  const [script] = parseScripts(text, { file: name });
  return { script: script!, text };
}

function placesOf({ places, whole }: Profile, random: Random): Places {
  if (places === "small") return new SmallPlaces(random);
  // A hugetlb mapping takes whole huge pages; others are there to be split.
  return new HugePlaces(random, whole === "huge" || whole === "hmem" ? 90 : 45);
}

function begin(draft: Draft, { whole, mappings, uffd }: Profile): void {
  const { random, places } = draft;
  if (whole === undefined) for (let i = random.between(1, 3); i > 0; i--) MOVES.map(draft);
  else {
    const start = whole === "anon" ? random.oneOf([0, 0, 0, 100, 496]) : 0;
    const shared = random.percent(mappings.shared) ? "s" : "p";
    draft.add("map", start, places.pages - start, "rw-", shared, whole);
    if (mappings.hugepage) draft.add("advise", start, places.pages - start, "hugepage");
  }
  for (let i = random.between(1, 3); i > 0; i--) MOVES.write(draft);
  if (uffd === undefined) return;
  draft.add("uffd", random.oneOf(["sync", "async", "unpop"]));
  draft.add("uffdreg", places.range(), random.oneOf(["wp", "wp", "missing,wp", "missing"]));
}

/** Hidden write protection shows in the faults of reads and writes. */
function sweep({ lines, places }: Draft, { places: size }: Profile): void {
  if (size === "small") lines.push(`readr 0 ${places.arena}`, `writer 0 ${places.arena}`);
  else
    for (let block = 0; block < places.pages; block += 512)
      for (const page of [0, 1, 300]) lines.push(`write ${block + page}`);
}

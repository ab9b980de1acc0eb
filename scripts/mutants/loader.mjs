// Changes one file while it is loaded: MUTANT holds { file, find, replace }.
import { mutate } from "./mutate.mjs";

const mutant = JSON.parse(process.env.MUTANT ?? "{}");

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (mutant.file === undefined || !url.endsWith(`/packages/${mutant.file}`)) return loaded;
  return { ...loaded, source: mutate(String(loaded.source), mutant) };
}

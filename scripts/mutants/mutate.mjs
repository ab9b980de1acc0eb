/** The text of a file with a mutant in it. */
export function mutate(text, { file, find, replace }) {
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`the mutant's text stands ${parts.length - 1} times in ${file}`);
  return parts.join(replace);
}

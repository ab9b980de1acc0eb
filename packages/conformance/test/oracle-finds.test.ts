import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { conform } from "@mmu-notifier/conformance";
import { expect, test } from "vitest";

const corpus = fileURLToPath(new URL("../corpus", import.meta.url));

test.each([
  ["fuzzing", "oracle-finds.jsonl.gz", 40],
  ["a fresh recording", "fresh-finds.jsonl.gz", 8],
])("the model does what a kernel did wherever %s once found a difference", async (_, file, least) => {
  const { scripts, ops, equal, divergences } = await conform(join(corpus, file));

  expect(scripts).toBeGreaterThan(least);
  expect(divergences.map(({ script, step, diffs }) => ({ script, step, diffs }))).toEqual([]);
  expect(equal).toBe(ops);
});

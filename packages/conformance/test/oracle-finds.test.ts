import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { conform } from "@mmu-notifier/conformance";
import { expect, test } from "vitest";

const corpus = fileURLToPath(new URL("../corpus", import.meta.url));

test("the model does what a kernel did wherever fuzzing once found a difference", async () => {
  const { scripts, ops, equal, divergences } = await conform(join(corpus, "oracle-finds.jsonl.gz"));

  expect(scripts).toBeGreaterThan(40);
  expect(divergences.map(({ script, step, diffs }) => ({ script, step, diffs }))).toEqual([]);
  expect(equal).toBe(ops);
});

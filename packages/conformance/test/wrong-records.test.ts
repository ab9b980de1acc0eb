import { MmuNotifierError } from "@mmu-notifier/steps";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { conform } from "../src/index.js";
import { fileOf, type Line, linesOf, textOf } from "./recorded.js";

const RECORDINGS = {
  mmrun: linesOf("hand.jsonl.gz", "rorw-fork-reap-reuse"),
  qemu: linesOf("arm64-6.12-hand.jsonl.gz", "up-fork-reap-anon"),
  "write-bits": linesOf("small-slice.W.jsonl.gz", "rmix-0").slice(0, 5),
};

type Key = string | number;

/** The paths of all values in a record. */
function pathsOf(value: unknown, path: readonly Key[] = []): (readonly Key[])[] {
  const below =
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, one]) => pathsOf(one, [...path, key]))
      : [];
  return path.length === 0 ? below : [path, ...below];
}

/** A copy of some records in which one value is another one. */
function withValue(lines: readonly Line[], path: readonly Key[], value: unknown): Line[] {
  const copy: unknown = structuredClone(lines);
  let inside = copy as Record<Key, unknown>;
  for (const key of path.slice(0, -1)) inside = inside[key] as Record<Key, unknown>;
  inside[path.at(-1)!] = value;
  return copy as Line[];
}

const run = (lines: readonly Line[]) => conform(fileOf("a.jsonl", textOf(lines))).catch((error: unknown) => error);

describe("a record with a wrong value", () => {
  it.each([
    ["mmrun", [4, "ev", 0], "F", 5, /: ev\.0: expected an event: \["F"\|"FK", page, code, who\?\]/],
    ["mmrun", [4, "pg", 0, 2], null, 5, /: pg\.0\.2: .*[Ee]xpected string but received null/],
    ["mmrun", [3, "vma"], "none", 4, /: vma: .*[Ee]xpected Array/],
    ["qemu", [3, "vmas", 0, "end"], "16", 4, /: vmas\.0\.end: .*[Ee]xpected number/],
    ["qemu", [2, "faults"], undefined, 3, /: faults: .*[Ee]xpected "faults"/],
    ["write-bits", [0, "w", 0, 1], "all", 1, /: w\.0\.1: .*[Ee]xpected number/],
  ] as const)("of %s at %j is refused with its line and path", async (dialect, path, value, line, message) => {
    expect(await run(withValue(RECORDINGS[dialect], path, value))).toMatchObject({
      code: "CORPUS_FORMAT",
      message: expect.stringMatching(message) as string,
      details: { line },
    });
  });

  it("is a difference or an error that says where, whatever it is", async () => {
    const changed = fc
      .constantFrom(...Object.values(RECORDINGS))
      .chain((lines) =>
        fc.tuple(fc.constant(lines), fc.constantFrom(...pathsOf(lines)), fc.jsonValue({ maxDepth: 1 })),
      );
    await fc.assert(
      fc.asyncProperty(changed, async ([lines, path, value]) => {
        fc.pre(path.length > 1);
        const result = await run(withValue(lines, path, value));

        if (result instanceof Error) expect(result).toBeInstanceOf(MmuNotifierError);
        else expect(result).toHaveProperty("ops");
      }),
      { numRuns: 300 },
    );
  });
});

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errorCodes } from "../error-codes.mjs";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** The headings of docs/reference/errors.md: a code, and the package whose section it stands in. */
function documented() {
  const codes = new Map();
  let section;
  for (const line of readFileSync(join(repository, "docs/reference/errors.md"), "utf8").split("\n")) {
    section = /^## ([\w-]+)/.exec(line)?.[1] ?? section;
    const code = /^### `(.+)`$/.exec(line)?.[1];
    if (code !== undefined) codes.set(code, section);
  }
  return codes;
}

describe("docs/reference/errors.md", () => {
  const { codes, problems } = errorCodes(repository);
  const page = documented();

  it("is compared with sources that say plainly what they throw", () => {
    expect(problems).toEqual([]);
  });

  it("describes every code that is thrown or reported", () => {
    expect([...codes.keys()].filter((code) => !page.has(code))).toEqual([]);
  });

  it("describes no code that nobody throws or reports", () => {
    expect([...page.keys()].filter((code) => !codes.has(code))).toEqual([]);
  });

  it("has each code in the section of a package that throws it", () => {
    const misplaced = [...page].filter(([code, section]) => codes.get(code)?.includes(section) === false);
    expect(misplaced).toEqual([]);
  });
});

describe("docs/guide/verdicts.md", () => {
  it("has a row for every verdict of the checker", () => {
    const source = readFileSync(join(repository, "packages/checker/src/engine/verdict.ts"), "utf8");
    const union = /^export type Verdict =([^;]+);/m.exec(source)?.[1] ?? "";
    const rows = readFileSync(join(repository, "docs/guide/verdicts.md"), "utf8").matchAll(/^\| `([A-Z-]+)` \|/gm);
    expect([...rows].map(([, verdict]) => verdict)).toEqual(
      [...union.matchAll(/"([A-Z-]+)"/g)].map(([, name]) => name),
    );
  });
});

describe("reading codes off sources", () => {
  let root;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "codes-"));
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function codesOf(text) {
    const file = join(root, "packages/bus/src/errors.ts");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    const { codes, problems } = errorCodes(root);
    return { codes: [...codes.keys()], problems };
  }

  it.each([
    ["a literal", `throw new MmuNotifierError("A_ONE", "");`, ["A_ONE"]],
    ["either of two", `new MmuNotifierError(x ? "A_ONE" : "A_TWO", "");`, ["A_ONE", "A_TWO"]],
    [
      "a subclass",
      `class One extends MmuNotifierError {} class Two extends One {} throw new Two("A_TWO", "");`,
      ["A_TWO"],
    ],
    [
      "a subclass that takes its code as the second argument",
      `class One extends MmuNotifierError { constructor(file: string, code: string) { super(code, file); } } new One("no", "A_ONE");`,
      ["A_ONE"],
    ],
    [
      "a subclass with a code of its own",
      `class One extends MmuNotifierError { constructor() { super("A_ONE", ""); } } new One();`,
      ["A_ONE"],
    ],
    [
      "a helper's calls",
      `const fail = (code: string) => { throw new MmuNotifierError(code, ""); }; fail("A_ONE"); fail("A_TWO");`,
      ["A_ONE", "A_TWO"],
    ],
    ["a template", "new MmuNotifierError(`A_${kind}`, '');", ["A_*"]],
    ["an event", `emit({ kind: "error", code: "A_ONE" });`, ["A_ONE"]],
    [
      "the members of a union that are used",
      `type OneErrorCode = "A_ONE" | "A_TWO"; raise("A_ONE"); raise("A_TWO");`,
      ["A_ONE", "A_TWO"],
    ],
  ])("finds %s", (_, text, expected) => {
    expect(codesOf(text)).toEqual({ codes: expected, problems: [] });
  });

  it("does not take comments and other strings for codes", () => {
    expect(
      codesOf(`// throw new MmuNotifierError("A_ONE", "")\nconst a = "A_TWO"; new Error("A_THREE");`).codes,
    ).toEqual([]);
  });

  it("reports a member of a union that nothing uses, and a code that cannot be read off", () => {
    const { problems } = codesOf(`type OneErrorCode = "A_ONE";\nthrow new MmuNotifierError(codes[2], "");`);
    expect(problems).toEqual([
      "packages/bus/src/errors.ts:2: which code is thrown here cannot be read off the source",
      "packages/bus/src/errors.ts: A_ONE is in OneErrorCode, but nothing in bus uses it",
    ]);
  });
});

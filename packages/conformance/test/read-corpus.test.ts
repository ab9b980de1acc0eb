import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { conform, type CorpusCase, originOf, readCorpus, unstableScripts } from "../src/index.js";
import { corpus, fileOf, linesOf, textOf } from "./recorded.js";

async function casesOf(file: string): Promise<CorpusCase[]> {
  const cases: CorpusCase[] = [];
  for await (const one of readCorpus(file)) cases.push(one);
  return cases;
}

const MMRUN = textOf(linesOf("hand.jsonl.gz", "rorw-fork-reap-reuse"));
const QEMU = textOf(linesOf("arm64-6.12-hand.jsonl.gz", "up-fork-reap-anon"));
const PROBES = textOf(linesOf("small-slice.W.jsonl.gz", "rmix-0"));

/** What `zstd -19` makes of {@link MMRUN}. */
const ZSTD = Buffer.from(
  "KLUv/QRovQcA8sskGWDXA5Q4JNqeqbLTOK2hYN/dy91EYzowLBHABmU2KFwWMRJytlSx6JqhgE6wHwyzD+u6MvD4vBPhkDQqSCCjU8Lo5a0FfY4Pbqe0mery1A698cvfLjhcltl1wtrpMhuzlv32pi5VHXYvvxMcdLhOPRvfdjgbag3YiDi7UvZre9vqsv9wtf+iv87Lf79nWxh6pmotKqDxbOcSMbO+5bAkEKEzDwXiBB+6co+qJ0H/9TgEPQNRbKWp6Ky17lbOCAM9APS2grL/LENq1qLdHDfWFHY1tMoAOX16AC1LAeaAi1LRXpYtbcAwh88flyDOpl7ml0or1P3Dzkg=",
  "base64",
);

describe("readCorpus", () => {
  it("tells the three dialects by their lines, also in one file", async () => {
    const cases = await casesOf(fileOf("all.jsonl", MMRUN + QEMU + PROBES));

    expect(cases.map(({ dialect, name, records }) => [dialect, name, records.length])).toEqual([
      ["mmrun", "rorw-fork-reap-reuse", 8],
      ["qemu", "up-fork-reap-anon", linesOf("arm64-6.12-hand.jsonl.gz", "up-fork-reap-anon").length],
      ["write-bits", "rmix-0", linesOf("small-slice.W.jsonl.gz", "rmix-0").length],
    ]);
  });

  it("reads gzip like plain text, in several members too", async () => {
    const plain = await casesOf(fileOf("a.jsonl", MMRUN + QEMU));
    const members = Buffer.concat([gzipSync(MMRUN), gzipSync(QEMU)]);

    expect(await casesOf(fileOf("a.jsonl.gz", gzipSync(MMRUN + QEMU)))).toEqual(plain);
    expect(await casesOf(fileOf("no-extension", members))).toEqual(plain);
  });

  it("reads zstd like plain text, in several frames too", async () => {
    expect(await casesOf(fileOf("a.jsonl.zst", Buffer.concat([ZSTD, ZSTD])))).toEqual(
      await casesOf(fileOf("a.jsonl", MMRUN + MMRUN)),
    );
  });

  it("takes a last line without a line feed, and empty lines", async () => {
    const cases = await casesOf(fileOf("a.jsonl", `\n${MMRUN.trimEnd().replaceAll("\n", "\n\n")}`));

    const [plain] = await casesOf(fileOf("b.jsonl", MMRUN));

    expect(cases).toEqual([{ ...plain, lines: plain!.lines!.map((line) => 2 * line) }]);
  });

  it("finds no case in an empty file", async () => {
    expect(await casesOf(fileOf("a.jsonl", ""))).toEqual([]);
  });

  const lineOf = (text: string): number => text.split("\n").length;
  const packed = gzipSync(MMRUN.repeat(2000));

  it.each([
    ["text that breaks off", MMRUN.slice(0, -40), lineOf(MMRUN.slice(0, -40)), /expected a JSON record, found/],
    ["gzip that breaks off", packed.subarray(0, packed.length >> 1), undefined, /unexpected end of file/],
    ["broken gzip", Buffer.concat([packed.subarray(0, 200), Buffer.alloc(200)]), undefined, /cannot be read/],
    ["zstd that breaks off", ZSTD.subarray(0, -40), 1, /unexpected EOF/],
    ["a line that is no object", `${MMRUN}[1]\n`, lineOf(MMRUN), /expected a JSON object, found \[1\]/],
    ["a record before its header", '{"i":0,"op":"fork"}\n', 1, /expected a header .* found the keys i, op/],
    ["a header without arena", '{"script":"a"}\n', 1, /expected a number for arena, found undefined/],
    ["a record that lacks fields", `${MMRUN}{"i":9,"op":"fork"}\n`, lineOf(MMRUN), /the record lacks ev, vma, pg/],
    ["a capture's record that lacks fields", '{"case":"a","line":"fork"}\n', 1, /lacks notifier, pages, vmas/],
    ["another schema", '{"name":"a","values":[]}\n', 1, /found the keys name, values/],
  ])("refuses %s with file and line", async (_, content, line, message) => {
    const file = fileOf("bad.jsonl", content);

    const failed = await casesOf(file).catch((error: unknown) => error);

    expect(failed).toMatchObject({
      code: "CORPUS_FORMAT",
      message: expect.stringMatching(message) as string,
      details: { file, line: line ?? (expect.any(Number) as number) },
    });
    expect((failed as Error).message).toMatch(`${file}:`);
  });

  it("refuses a file that is not there", async () => {
    await expect(casesOf("/nowhere/a.jsonl")).rejects.toMatchObject({ code: "CORPUS_FORMAT" });
  });
});

describe("originOf", () => {
  it.each([
    ["arm64hafdbs-6.12-hand.jsonl.gz", { name: "arm64hafdbs-6.12-hand", kernel: "v6.12", arch: "arm64-hafdbs" }],
    ["/a/b/x86-7.3-random.jsonl.zst", { name: "x86-7.3-random", kernel: "v7.3", arch: "x86-64" }],
    ["small.jsonl", { name: "small", kernel: "v6.18", arch: "x86-64" }],
    ["hand.W.jsonl.gz", { name: "hand.W", kernel: "v6.18", arch: "x86-64" }],
  ])("%s", (file, origin) => {
    expect(originOf(file)).toEqual(origin);
  });
});

describe("unstable scripts", () => {
  const list = (content: string): string => fileOf("unstable.json", content).replace("unstable.json", "set.jsonl");

  it("are those that unstable.json next to the file lists for the set, and for its probes", () => {
    expect(unstableScripts(corpus("hand.jsonl.gz"), "hand").size).toBeGreaterThan(0);
    expect(unstableScripts(corpus("hand.W.jsonl.gz"), "hand.W")).toEqual(
      unstableScripts(corpus("hand.jsonl.gz"), "hand"),
    );
    expect(unstableScripts(list('{"set":["a",1,"b"],"other":["c"]}'), "set")).toEqual(new Set(["a", "b"]));
  });

  it("are none without such a list, and what the caller says wins", async () => {
    const file = fileOf("mine.jsonl", MMRUN);

    expect(unstableScripts(file, "mine")).toEqual(new Set());
    expect((await conform(file)).scripts).toBe(1);
    expect(await conform(file, { unstable: new Set(["rorw-fork-reap-reuse"]) })).toMatchObject({
      scripts: 0,
      leftOut: { "scripts that differ from run to run on the recording machine": 1 },
    });
  });

  it("refuses a list that is no JSON", () => {
    expect(() => unstableScripts(list("nothing"), "set")).toThrow(/unstable.json:1: expected a JSON object of lists/);
  });
});

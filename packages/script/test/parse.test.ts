import { describe, expect, it } from "vitest";
import { parseScripts, type Script, ScriptError } from "../src/index.js";

function one(source: string): Script {
  return parseScripts(source, { file: "t.mm" })[0]!;
}

function op(line: string): unknown {
  return one(line).statements[0]!.op;
}

function failure(source: string): ScriptError {
  try {
    parseScripts(source, { file: "t.mm" });
  } catch (error) {
    expect(error).toBeInstanceOf(ScriptError);
    return error as ScriptError;
  }
  throw new Error(`no error for ${JSON.stringify(source)}`);
}

describe("a script file", () => {
  it("holds one script for each == line, with its arena", () => {
    const scripts = parseScripts("== a arena 16\nmap 0 4 rw- p anon\nwrite 0\n\n# comment\n== b\nfork\n");

    expect(scripts.map(({ name, arena, statements }) => [name, arena, statements.length])).toEqual([
      ["a", 16, 2],
      ["b", 64, 1],
    ]);
  });

  it("without a == line is one script named after the file", () => {
    const [script] = parseScripts("write 0", { file: "dir/first-try.mm" });

    expect(script).toMatchObject({ name: "first-try", arena: 64 });
  });

  it("with directives before the first == line gives them to every script", () => {
    const [a, b] = parseScripts(
      "kernel v6.4\ndevice smmu0 driver arm-smmu\n== a\nwrite 0\n== b\narch arm64\ndev smmu0 read 3\n",
    );

    expect([a!.kernel, b!.kernel, a!.arch, b!.arch]).toEqual(["v6.4", "v6.4", undefined, "arm64"]);
    expect(b!.devices).toMatchObject([{ name: "smmu0", driver: "arm-smmu", options: {} }]);
  });

  it("without any op holds no script", () => {
    expect(parseScripts("# nothing\n\n")).toEqual([]);
  });

  it("numbers ops from 0 and keeps their line, without comments and directives", () => {
    const { statements } = one("== a\r\ndevice d driver x\r\n  write  1   # first\r\ndev d read 1\r\n");

    expect(statements.map(({ index, text, position }) => ({ index, text, position }))).toEqual([
      { index: 0, text: "write  1", position: { line: 3, column: 3 } },
      { index: 1, text: "dev d read 1", position: { line: 4, column: 1 } },
    ]);
  });

  it("puts the ops of a thread block into that thread", () => {
    const { threads, statements } = one("map 0 4 rw- p anon\nthread A {\n  write 0\n}\nthread B {\n  unmap 0 4\n}\n");

    expect(threads).toEqual(["A", "B"]);
    expect(statements.map(({ thread }) => thread)).toEqual([undefined, "A", "B"]);
  });

  it("reads device options as numbers, booleans and text", () => {
    const { devices } = one("device s driver ./d.ts ats stall=false asid=0x10 policy=re-walk\nwrite 0");

    expect(devices[0]).toMatchObject({
      driver: "./d.ts",
      options: { ats: true, stall: false, asid: 16, policy: "re-walk" },
    });
  });

  it("may be bytes in UTF-8", () => {
    expect(parseScripts(new TextEncoder().encode("write 0 # é"))[0]!.statements).toHaveLength(1);
  });
});

describe("both dialects", () => {
  const map = {
    kind: "map",
    placement: "fixed",
    populate: false,
    locked: false,
    noreserve: false,
    growsdown: false,
    stack: false,
    offset: 0,
  };

  it.each([
    ["map 0 4 rw- p anon", "map 0 4 rw anon private over"],
    ["map 0 4 r-- s mem norepl", "map 0 4 r shared fd=mem"],
    ["map 0 512 rw- p huge norepl", "map 0 512 rw anon private hugetlb"],
    ["protect 1 2 ---", "mprotect 1 2 none"],
    ["advise 1 2 dontneed", "madvise 1 2 dontneed"],
    ["remap 0 2 2 fixed 8", "mremap 0 2 2 fixed 8"],
    ["mlock2 0 4", "mlockonfault 0 4"],
    ["clearrefs 4", "clear_refs 4"],
    ["uffdwp 0 4 on", "uffdwp 0 4 1"],
    ["uffdreg 0 4 missing,wp", "uffdreg 0 4 miss,wp"],
    ["ftrunc mem 4", "truncate mem 4"],
    ["fpunch mem 1 2", "punch mem 1 2"],
    ["pvwrite 3", "vmwrite 3"],
    ["pmwrite 3", "memwrite 3"],
    ["closevm", "kvmclose"],
    ["fork\nreap 0", "fork c1\nreap c1"],
  ])("%s is %s", (one618, qemu) => {
    const [a, b] = [one618, qemu].map((text) => one(text).statements.at(-1)!.op);

    expect(a).toEqual(b);
  });

  it("keep mmap's flags and offset", () => {
    expect(op("map 3 4 r-x s file 2 populate locked stack")).toEqual({
      ...map,
      start: 3,
      pages: 4,
      prot: 5,
      shared: true,
      backing: { kind: "file", name: "file" },
      offset: 2,
      populate: true,
      locked: true,
      stack: true,
    });
  });

  it("tell a load of one page from loads of each and loads until a signal", () => {
    expect(["read 1", "readr 1 2", "read 1 2"].map((line) => (op(line) as { mode: string }).mode)).toEqual([
      "one",
      "each",
      "until",
    ]);
  });

  it("name children by number or by the name of their fork", () => {
    const { statements, children } = one("fork\nfork b\ncwrite b 1\ncwrite 0 1");

    expect(children).toBe(2);
    expect(statements.slice(2).map((statement) => (statement.op as { child: number }).child)).toEqual([1, 0]);
  });
});

describe("an error says where and what was expected", () => {
  it.each([
    ["unmpa 0 4", "SCRIPT_UNKNOWN_OP", 't.mm:1:1: expected an op, found "unmpa". Did you mean "unmap"?'],
    ["write 0\n  wriet 1", "SCRIPT_UNKNOWN_OP", 't.mm:2:3: expected an op, found "wriet". Did you mean "write"?'],
    ["map 0", "SCRIPT_MISSING", "t.mm:1:6: expected a number of pages, but the line ends here."],
    ["map 0 4 rq p anon", "SCRIPT_EXPECTED", 't.mm:1:9: expected a protection such as rw- or none, found "rq".'],
    ["map 0 4 rw- q anon", "SCRIPT_EXPECTED", 't.mm:1:13: expected private or shared (p, s), found "q".'],
    [
      "map 0 4 rw- p anon 0 norpl",
      "SCRIPT_EXPECTED",
      't.mm:1:22: expected a mapping flag (norepl, hint, populate, noreserve, locked, growsdown, stack), found "norpl". Did you mean "norepl"?',
    ],
    ["map 0 4 rw private", "SCRIPT_MISSING", "t.mm:1:19: expected anon or fd=NAME, but the line ends here."],
    ["unmap 0 4 5", "SCRIPT_SURPLUS", 't.mm:1:11: expected the end of the line, found "5". Usage: unmap S L'],
    ["unmap -1 4", "SCRIPT_EXPECTED", 't.mm:1:7: expected a first page, found "-1".'],
    ["unmap 1e3 4", "SCRIPT_EXPECTED", 't.mm:1:7: expected a first page, found "1e3".'],
    [
      "advise 0 4 dontned",
      "SCRIPT_EXPECTED",
      't.mm:1:12: expected an advice such as dontneed, found "dontned". Did you mean "dontneed"?',
    ],
    ["uffdwp 0 4 maybe", "SCRIPT_EXPECTED", 't.mm:1:12: expected on or off (on, off, 1, 0), found "maybe".'],
    [
      "reap c1",
      "SCRIPT_UNDECLARED",
      't.mm:1:6: no fork before this line made a child "c1". Children are numbered from 0; `fork NAME` gives a name.',
    ],
    [
      "dev smmu0 read 3",
      "SCRIPT_UNDECLARED",
      't.mm:1:5: there is no device "smmu0". Add a line `device smmu0 driver DRIVER` before it.',
    ],
    [
      "device smmu0 driver x\ndev smmu1 read 3",
      "SCRIPT_UNDECLARED",
      't.mm:2:5: there is no device "smmu1". Add a line `device smmu1 driver DRIVER` before it. Did you mean "smmu0"?',
    ],
    ["device a driver x\ndevice a driver y", "SCRIPT_DUPLICATE", 't.mm:2:1: there is a device "a" already'],
    ["device a arm-smmu", "SCRIPT_EXPECTED", 't.mm:1:10: expected driver, found "arm-smmu".'],
    ["device a driver x =3", "SCRIPT_EXPECTED", 't.mm:1:19: expected an option written key=value, found "=3".'],
    ["== a\n== a", "SCRIPT_DUPLICATE", 't.mm:2:1: there is a script "a" in this file already'],
    [
      "writer 0 99999999",
      "SCRIPT_EXPECTED",
      't.mm:1:10: expected a number of pages (at most 1048576), found "99999999".',
    ],
    ["== a arena 0", "SCRIPT_EXPECTED", 't.mm:1:12: expected the arena\'s size in pages (at least 1), found "0".'],
    ["== a arena 9000", "SCRIPT_EXPECTED", "t.mm:1:12: expected an arena of 1 to 8192 pages, found 9000."],
    [
      "thread A {\nwrite 0",
      "SCRIPT_BLOCK",
      't.mm:1:1: thread "A" is opened here and never closed: expected a line with } after its last op',
    ],
    [
      "thread A {\nthread B {\n}\n}",
      "SCRIPT_BLOCK",
      't.mm:2:1: a thread block cannot stand inside another: close thread "A" first',
    ],
    [
      "thread A {\nkernel v6.4\n}",
      "SCRIPT_BLOCK",
      't.mm:2:8: "kernel" stands outside of thread blocks: close thread "A" first',
    ],
    ["thread A\nwrite 0\n}", "SCRIPT_MISSING", "t.mm:1:9: expected {, but the line ends here."],
    ["}", "SCRIPT_BLOCK", "t.mm:1:1: there is no thread block to close here"],
    ["write 0\nwrite \u0000", "SCRIPT_NOT_TEXT", "t.mm:2:7: expected text, found the control character 0x00"],
    ["constructor 1", "SCRIPT_UNKNOWN_OP", 't.mm:1:1: expected an op, found "constructor".'],
    [
      "advise 0 4 constructor",
      "SCRIPT_EXPECTED",
      't.mm:1:12: expected an advice such as dontneed, found "constructor".',
    ],
  ])("%j", (source, code, message) => {
    const error = failure(source);

    expect([error.code, error.message]).toEqual([code, message]);
    expect(error.message.startsWith(`${error.file}:${error.line}:${error.column}: `)).toBe(true);
  });

  it("for bytes that are no text", () => {
    expect(() => parseScripts(new Uint8Array([0x77, 0xff, 0xfe]), { file: "b.mm" })).toThrow(
      "b.mm:1:1: expected a text file in UTF-8, but its bytes are not UTF-8",
    );
  });
});

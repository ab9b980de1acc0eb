import { encodeScript, kernelRun, OracleOpError, type RawRecord, type RawRun } from "@mmu-notifier/conformance";
import { ARENA_BASE, OPS, parseScripts, type Script } from "@mmu-notifier/script";
import { expect, test } from "vitest";

const PAGE = 4096;
const PID = 4242;

function scriptOf(...lines: readonly string[]): Script {
  return parseScripts(["== s arena 16", ...lines, ""].join("\n"), { file: "s.mm" })[0]!;
}

function encoded(...lines: readonly string[]): readonly string[] {
  return encodeScript(scriptOf(...lines), "/swap").text.split("\n");
}

function raw(record: Partial<RawRecord>): RawRecord {
  return { r: { ret: 0 }, t: [], v: [], p: [], ...record };
}

function runOf(records: readonly RawRecord[]): RawRun {
  return { pid: PID, records, exit: { exit: 0, compacted: 0, t: [] } };
}

const hex = (page: number): string => `0x${(ARENA_BASE + page * PAGE).toString(16)}`;

test("an op becomes a system call with ready arguments", () => {
  const at = (page: number): number => ARENA_BASE + page * PAGE;

  expect(encoded("map 0 4 rw- p anon", "protect 1 2 r--", "write 3", "remap 0 4 4 fixed 8")).toEqual([
    "script 16",
    `call mmap ${at(0)} 16384 3 50 -1 0 > place 16384`,
    `call mprotect ${at(1)} 8192 1`,
    `store ${at(3)} 3`,
    `call mremap ${at(0)} 16384 16384 3 ${at(8)} > place 16384`,
    "run",
    "",
  ]);
});

test("files that scripts speak of are made before the first op, with the sizes that the model gives them", () => {
  expect(encoded("map 0 4 r-- s memro", "map 4 4 rw- s file", "fpunch hmem 0 512").slice(1, 5)).toEqual([
    "prepare make memfd mem 64 32",
    "prepare reopen memro mem",
    "prepare make disk file 64 32",
    "prepare make hugetlb hmem 4096 0",
  ]);
});

test("a child's op goes through its parent, under the name that fork gave it", () => {
  expect(encoded("fork first", "cwrite first 2", "reap first").slice(1, 4)).toEqual([
    "fork 0",
    `child 0 store ${ARENA_BASE + 2 * PAGE} 2`,
    "reap 0",
  ]);
});

test("a userfaultfd is opened first only if the script does not open one", () => {
  expect(encoded("uffdreg 0 4 wp")[1]).toMatch(/^prepare uffd \d+$/);
  expect(encoded("uffd async", "uffdreg 0 4 wp")[1]).toMatch(/^uffd \d+$/);
});

test("byte addresses wrap as a 64-bit register does", () => {
  expect(encoded("unmapx 0xffffe00000000000 4096")[1]).toBe("call munmap 0 4096");
});

/** An example of every op, from its usage. */
const EXAMPLES: Readonly<Record<string, string>> = {
  "S L": "0 4",
  "OS OL NL": "0 4 4",
  "p|s": "p",
  "sync|async|inval": "sync",
  "sync|async|unpop": "sync",
  "on|off": "on",
  "r|w": "r",
  "merge|unmerge": "merge",
  "default|bind|NODE": "bind",
  PROT: "rw-",
  BACK: "anon",
  FLAGS: "50",
  ADVICE: "dontneed",
  MODES: "wp",
  ADDR: "0",
  LEN: "4096",
  PATH: "/p",
  VALUE: "1",
};

test("every op is either run or refused with the reason and the place", () => {
  for (const { name, usage } of OPS) {
    let line = usage.replaceAll(/ *\[.*?\]+/g, "");
    for (const [word, value] of Object.entries(EXAMPLES)) line = line.replace(` ${word}`, ` ${value}`);
    line = line.replaceAll(/ [A-Z]+/g, " 0").replaceAll(/(memfd|file|hmemfd|dax) 0 0/g, "$1 f 4");
    if (/^(f|p|t)/.test(name))
      line = line.replace(/^(ftrunc|truncate|fpunch|punch|fzero|fcollapse|fwrite|fread|fsync|fdrop) 0/, "$1 mem");
    try {
      expect(encoded("fork", line).length, line).toBeGreaterThan(3);
    } catch (error) {
      expect(error, line).toBeInstanceOf(OracleOpError);
      expect((error as Error).message).toMatch(/^s\.mm:3: ".*" cannot run on this kernel: ./);
    }
  }
});

test("exit is the last op, and its record is what happened on the way out", () => {
  expect(encoded("write 0", "exit").at(-3)).toBe("exit");
  expect(() => encoded("exit", "write 0")).toThrow(/"exit" cannot run on this kernel: nothing can come after it/);

  const flush = [PID, "tlb_flush: pages:-1 reason:local mm shootdown (3)"] as const;
  const { records } = kernelRun(scriptOf("write 0", "exit"), {
    pid: PID,
    records: [raw({})],
    exit: { exit: 0, compacted: 0, t: [flush] },
  });
  expect(records[1]).toMatchObject({ i: 1, op: "exit", ret: 0, ev: [["T", -1, 3]], vma: [], pg: [] });
});

test("devices and threads are refused", () => {
  expect(() => encoded("device d driver kvm", "write 0")).toThrow(/devices exist in the model only/);
  expect(() => encoded("thread A {", "write 0", "}")).toThrow(/which thread runs first is chance/);
});

test("trace events become records: who, where, and without the interpreter's own", () => {
  const script = scriptOf("fork", "cwrite 0 1");
  const { records } = kernelRun(
    script,
    runOf([
      raw({
        r: { ret: 0, child: 77 },
        t: [
          [PID, `kvm_unmap_hva_range: mmu notifier unmap range: ${hex(0)} -- ${hex(4)}`],
          [PID, "kvm_unmap_hva_range: mmu notifier unmap range: 0x0055d0a0e00000 -- 0x0055d0a0e01000"],
          [PID, "tlb_flush: pages:-1 reason:local MM shootdown (3)"],
          [PID, "page_fault_user: address=0x7ffed336a0a8 ip=0x557b400c3786 error_code=0x7"],
          [PID, "tlb_flush: pages:1 reason:local MM shootdown (3)"],
        ],
      }),
      raw({
        t: [
          [PID, "tlb_flush: pages:0 reason:flush on task switch (0)"],
          [77, `page_fault_user: address=${hex(1)} ip=0x1 error_code=0x7`],
          [77, "tlb_flush: pages:1 reason:local MM shootdown (3)"],
          [9, `kvm_age_hva: mmu notifier age hva: ${hex(1)} -- ${hex(2)}`],
          [9, `kvm_test_age_hva: mmu notifier test age hva: ${hex(3)}`],
          [PID, "kvm_unmap_hva_range: mmu notifier unmap range: 0x0 -- 0xffffffffffffffff"],
          [PID, `page_fault_kernel: address=${hex(2)} ip=copy error_code=0x3`],
        ],
      }),
    ]),
  );

  expect(records[0]).toMatchObject({
    outN: 1,
    ev: [
      ["N", 0, 4],
      ["T", -1, 3],
    ],
  });
  expect(records[1]!.ev).toEqual([
    ["F", 1, 7, "c0"],
    ["A", 1, 2, "k"],
    ["Y", 3, "k"],
    ["N", "0", "max"],
    ["FK", 2, 3],
  ]);
});

test("pagemap, PAGEMAP_SCAN and kpageflags become letters, frames become small numbers that stay", () => {
  const present = 1 << 8;
  const exclusive = 1 << 1;
  const script = scriptOf("write 0", "write 0");
  const { records } = kernelRun(
    script,
    runOf([
      raw({
        p: [
          [0, 2, present | exclusive, 0, 0, 5000, 1],
          [2, 1, present, 1 << 5, 0, 17, 0],
          [3, 1, (1 << 7) | (1 << 2), 0, 0, 0, 0],
        ],
      }),
      raw({
        p: [
          [0, 1, present | exclusive, 0, 0, 900, 1],
          [1, 1, present, 0, 1 << 21, 5001, 2],
          [512, 512, present | (1 << 6), 1 << 6, (1 << 22) | (1 << 4), 8192, 1],
        ],
      }),
    ]),
  );

  expect(records.map(({ pg }) => pg)).toEqual([
    [
      [0, 2, "PX", 1, 1],
      [2, 1, "PZ", 0, 0],
      [3, 1, "SW", 0, -1],
    ],
    [
      [0, 1, "PX", 3, 1],
      [1, 1, "PK", 2, 2],
      [512, 512, "PFHTd", 4, 1],
    ],
  ]);
});

test("results become counts, pages, errors and signals", () => {
  const script = scriptOf(
    "map 0 4 rw- p anon",
    "map 0 4 rw- p anon hint",
    "read 1",
    "write 2",
    "readr 0 3",
    "write 0 3",
    "kread 0",
  );
  const { records } = kernelRun(
    script,
    runOf([
      raw({ r: { ret: ARENA_BASE } }),
      raw({ r: { ret: 0x7f00_0000_0000 } }),
      raw({ r: { val: 9 } }),
      raw({ r: { sig: 11, code: 2, addr: ARENA_BASE + 2 * PAGE + 5 } }),
      raw({ r: { ret: 3, sum: 12, sigs: [[1, 7, 2]] } }),
      raw({ r: { ret: 1, sum: 0, sigs: [[1, 11, 1]] } }),
      raw({ r: { err: "EFAULT" } }),
    ]),
  );

  expect(
    records.map(({ ret, err, val, sig, code, at, sigs, sum }) =>
      JSON.stringify({ ret, err, val, sig, code, at, sigs, sum }),
    ),
  ).toEqual([
    '{"ret":0}',
    '{"ret":"out"}',
    '{"val":9}',
    '{"sig":"SEGV","code":2,"at":2}',
    '{"sigs":[[1,"BUS",2]],"sum":12}',
    '{"ret":1,"sig":"SEGV","code":1,"at":1}',
    '{"err":"EFAULT"}',
  ]);
});

test("VMAs keep the flags that records show", () => {
  const { records } = kernelRun(
    scriptOf("write 0"),
    runOf([
      raw({
        v: [
          [0, 4, "rw-p", 7, "anon", "rd wr mr mw me ac sd"],
          [4, 8, "r--s", 7, "mem", "rd mr ms"],
        ],
      }),
    ]),
  );

  expect(records[0]!.vma).toEqual([
    [0, 4, "rw-p", 0, "anon", "mw ac"],
    [4, 8, "r--s", 7, "mem", ""],
  ]);
});

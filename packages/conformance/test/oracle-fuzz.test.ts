import { encodeScript, fuzzProfiles, fuzzScript, kernelRun, shrink, type Shrinkable } from "@mmu-notifier/conformance";
import { parseScripts } from "@mmu-notifier/script";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

describe("made-up scripts", () => {
  test("the same seed and number make the same script, whatever else is made", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(5000), (seed, index) => {
        const { text } = fuzzScript(seed, index);
        fuzzScript(seed, index + 1);
        expect(fuzzScript(seed, index).text).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  test("seeds and numbers make different scripts", () => {
    const texts = [1, 2, 3].flatMap((seed) => Array.from({ length: 200 }, (_, index) => fuzzScript(seed, index).text));
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("every script can run on a kernel, and every profile takes its turn", () => {
    const seen = new Set<string>();
    for (let index = 0; index < 400; index++) {
      const { script } = fuzzScript(9, index);
      expect(encodeScript(script, "/swap").text.split("\n").length).toBeGreaterThan(script.statements.length);
      seen.add(script.name.split("-")[1]!);
    }
    expect([...seen]).toEqual(fuzzProfiles);
  });

  test("only the profiles that are asked for", () => {
    expect(fuzzScript(1, 5, ["swap"]).script.name).toBe("f1-swap-5");
  });
});

describe("shrinking", () => {
  const noise = Array.from({ length: 40 }, (_, i) => `read ${i}`);

  async function shrunk(start: Shrinkable, fails: (script: Shrinkable) => boolean, budget = 5000) {
    let runs = 0;
    const result = await shrink(
      start,
      (script) => {
        runs++;
        return Promise.resolve(fails(script));
      },
      budget,
    );
    return { ...result, runs };
  }

  test("keeps what the failure needs, with the smallest numbers that still fail", async () => {
    const lines = [...noise.slice(0, 20), "map 17 30 rw- p anon populate", ...noise.slice(20), "write 23", "read 1"];
    const map = /^map (\d+) (\d+)/;
    const fails = ({ lines: now }: Shrinkable): boolean => {
      const at = now.findIndex((line) => map.test(line));
      const [, start, pages] = map.exec(now[at] ?? "") ?? [];
      return now.slice(at + 1).some((line) => {
        const page = Number(/^write (\d+)$/.exec(line)?.[1] ?? Number.NaN);
        return page >= Number(start) + 3 && page < Number(start) + Number(pages);
      });
    };

    expect(await shrunk({ arena: 64, lines }, fails)).toMatchObject({ arena: 1, lines: ["map 0 4", "write 3"] });
  });

  test("whatever fails, the result fails too and is no longer", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(39), { minLength: 1, maxLength: 6 }), async (needed) => {
        const fails = ({ lines }: Shrinkable): boolean => needed.every((page) => lines.includes(`read ${page}`));
        const { lines } = await shrunk({ arena: 64, lines: noise }, fails);
        expect(new Set(lines)).toEqual(new Set(needed.map((page) => `read ${page}`)));
      }),
      { numRuns: 30 },
    );
  });

  test("asks no more often than it may", async () => {
    const { runs } = await shrunk({ arena: 64, lines: noise }, ({ lines }) => lines.length >= 20, 25);
    expect(runs).toBe(25);
  });
});

describe("faults that only a guest sees", () => {
  const at = (page: number): string => `0x${(0x2000_0000_0000 + page * 4096).toString(16)}`;
  const fault = (page: number, code: number) =>
    [1, `page_fault_user: address=${at(page)} ip=0x1 error_code=0x${code}`] as const;
  const run = (
    huge: boolean,
    faults: readonly (readonly [number, string])[],
    sigs: readonly (readonly [number, number, number])[] = [],
  ) =>
    kernelRun(parseScripts("writer 0 3\n")[0]!, {
      pid: 1,
      records: [
        { r: { ret: 3, sum: 0, sigs }, t: faults, v: [], p: [[0, 128, (1 << 8) | 2, huge ? 1 << 6 : 0, 0, 4096, 1]] },
      ],
      exit: { exit: 0, compacted: 0, t: [] },
    });

  test("are left out on a huge entry that an earlier fault of the op has made writable, and counted", () => {
    const { records, repeated } = run(true, [fault(0, 7), fault(1, 7), fault(2, 7)]);
    expect([records[0]!.ev, repeated]).toEqual([[["F", 0, 7]], 2]);
  });

  const writes = (between: string, events: readonly (readonly [number, string])[]) => {
    const page = [0, 128, (1 << 8) | 2, 1 << 6, 0, 4096, 1] as const;
    const record = (t: readonly (readonly [number, string])[]) => ({ r: { ret: 0 }, t, v: [], p: [page] });
    const { records } = kernelRun(parseScripts(`write 0\n${between}\nwrite 1\n`)[0]!, {
      pid: 1,
      records: [record([fault(0, 7)]), record(events), record([fault(1, 7)])],
      exit: { exit: 0, compacted: 0, t: [] },
    });
    return records[2]!.ev;
  };

  test("are left out in a later op too, unless a notification or a flush came between", () => {
    expect(writes("advise 0 1 random", [])).toEqual([]);
    expect(writes("protect 0 1 rw-", [[1, "tlb_flush: pages:1 reason:local mm shootdown (3)"]])).toHaveLength(1);
    expect(writes("closevm", [])).toHaveLength(1);
  });

  test("stay on small entries, where every page has one of its own", () => {
    expect(run(false, [fault(0, 7), fault(1, 7)]).records[0]!.ev).toHaveLength(2);
  });

  test("stay when the fault brought a signal", () => {
    const sigs = [0, 1, 2].map((page) => [page, 11, 2] as const);
    expect(run(true, [fault(0, 7), fault(1, 7), fault(2, 7)], sigs).records[0]!.ev).toHaveLength(3);
  });
});

import {
  clearRefs,
  MADV_COLLAPSE,
  MADV_COLD,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MADV_PAGEOUT,
  ksmRun,
  mmput,
  PAGE_SIZE,
  PG_ANON,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  sysFork,
  sysFsync,
  sysFtruncate,
  sysMadvise,
  sysMbind,
  sysSwapoff,
  sysSwapon,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BASE, MmMachine } from "./mm-machine.js";

const ANON = 16;
const SHARED = 32;
const PAGES = 48;

interface Op {
  readonly name: string;
  readonly run: (m: MmMachine, file: number) => Path<unknown> | undefined;
}

const page = fc.nat(PAGES - 1);
const span = fc.tuple(fc.nat(PAGES - 8), fc.integer({ min: 1, max: 8 }));

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(page, fc.nat(9)).map(([at, value]) => accessing(`write ${at}`, (m) => m.write(at, value))),
  },
  { weight: 2, arbitrary: page.map((at) => accessing(`read ${at}`, (m) => m.read(at))) },
  span.map(([at, pages]) => advising(at, pages, MADV_PAGEOUT)),
  span.map(([at, pages]) => advising(at, pages, MADV_COLD)),
  fc.nat(1).map((node) => path(`mbind ${node}`, (m) => sysMbind(m.k, m.t, m.at(0), PAGES * PAGE_SIZE, node))),
  fc.constant(path("fsync", (m, file) => sysFsync(m.k, m.t, file))),
  fc
    .integer({ min: 8, max: 16 })
    .map((pages) => path(`ftruncate ${pages}`, (m, file) => sysFtruncate(m.k, m.t, file, pages * PAGE_SIZE))),
  fc.constant(path("ksm", (m) => ksmRun(m.k, m.t))),
  fc.constant(path("clear_refs", (m) => clearRefs(m.k, m.t, 4))),
  fc.constant(path("swapoff", (m) => sysSwapoff(m.k, m.t))),
  fc.constant(path("swapon", (m) => sysSwapon(m.k, m.t))),
  fc.constant(path("fork", (m) => sysFork(m.k, m.t))),
);

function path(name: string, run: Op["run"]): Op {
  return { name, run };
}

function accessing(name: string, access: (m: MmMachine) => number): Op {
  return path(name, (m) => {
    access(m);
    return undefined;
  });
}

function advising(at: number, pages: number, advice: number): Op {
  return path(`madvise ${at}+${pages} ${advice}`, (m) => sysMadvise(m.k, m.t, m.at(at), pages * PAGE_SIZE, advice));
}

function translations(m: MmMachine): Map<number, number> {
  const found = new Map<number, number>();
  for (let at = 0; at < PAGES; at++) if (ptePresent(m.pte(at))) found.set(at, m.pte(at));
  return found;
}

/** True when a start of the log covers the page. */
function covers(log: readonly string[], at: number): boolean {
  return log.some((line) => {
    const [, start, end] = /^S (-?\d+)-(-?\d+) /.exec(line) ?? [];
    return line.startsWith("S all") || (start !== undefined && Number(start) <= at && at < Number(end));
  });
}

/** Every mapped frame is counted as often as it is mapped, and referred to at least as often. */
function checkCounts(m: MmMachine): void {
  const mapped = new Map<number, number>();
  for (let mm = 1; mm < m.k.mms.segment.used; mm++) {
    if (!m.k.mms.isLive(mm)) continue;
    for (let at = 0; at < PAGES; at++) {
      const pte = m.pte(at, mm);
      if (ptePresent(pte) && !pteSpecial(pte)) mapped.set(ptePfn(pte), (mapped.get(ptePfn(pte)) ?? 0) + 1);
    }
  }
  for (const [pfn, times] of mapped) {
    expect(m.k.pages.totalMapcount(pfn)).toBe(times);
    expect(m.k.pages.refcount(pfn)).toBeGreaterThanOrEqual(times);
    expect(m.k.pages.isLive(pfn)).toBe(true);
  }
}

function prepared(profile: string, arch: string): { m: MmMachine; file: number } {
  const m = new MmMachine(profile, arch, { config: { nodes: 2, softDirty: true } });
  const file = m.disk(16);
  m.anon(0, ANON);
  m.file(file, ANON, 16);
  m.anon(SHARED, 16);
  m.run(sysMadvise(m.k, m.t, m.at(0), ANON * PAGE_SIZE, MADV_MERGEABLE));
  return { m, file };
}

test.each([
  ["v6.4", "arm64"],
  ["v6.12", "x86-64"],
  ["v7.3", "arm64"],
])(
  "%s on %s: what goes or loses the right to be written is announced, counts agree, nothing leaks",
  (profile, arch) => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 24 }), (ops) => {
        const { m, file } = prepared(profile, arch);
        const children: number[] = [];
        for (const { name, run } of ops) {
          const before = translations(m);
          const work = run(m, file);
          if (work === undefined) continue;
          const log = m.log(
            (function* () {
              const result = yield* work;
              if (name === "fork" && typeof result === "number" && result > 0) children.push(result);
            })(),
          );
          for (const [at, pte] of before) {
            const after = m.pte(at);
            const lost = !ptePresent(after) || ptePfn(after) !== ptePfn(pte) || (pteWrite(pte) && !pteWrite(after));
            if (lost && !covers(log, at))
              throw new Error(`${name}: page ${at} changed without a range: ${log.join(", ")}`);
          }
          checkCounts(m);
        }
        for (const mm of children) m.run(mmput(m.k, { cpu: 0, mm }));
        m.run(mmput(m.k, m.t));
        for (let pfn = 1; pfn < m.k.pages.segment.used; pfn++) {
          if (m.k.pages.isLive(pfn) && m.k.pages.test(pfn, PG_ANON)) throw new Error(`frame ${pfn} leaked`);
        }
        expect(m.k.swap.segment.live).toBe(0);
      }),
      { numRuns: 120 },
    );
  },
);

test("a huge page that was split, paged out, collapsed again and unmapped leaves nothing behind", () => {
  const m = new MmMachine("v6.18", "x86-64");
  m.anon(512, 512);
  m.run(sysMadvise(m.k, m.t, m.at(512), 512 * PAGE_SIZE, MADV_HUGEPAGE));
  m.write(512, 3);
  m.run(sysMadvise(m.k, m.t, m.at(512), 512 * PAGE_SIZE, MADV_PAGEOUT));
  m.write(600, 4);
  expect(m.run(sysMadvise(m.k, m.t, m.at(512), 512 * PAGE_SIZE, MADV_COLLAPSE))).toBe(0);
  expect([m.read(512), m.read(600), m.read(601)]).toEqual([3, 4, 0]);
  const live = m.k.pages.segment.live;
  m.run(mmput(m.k, m.t));
  expect(m.k.pages.segment.live).toBe(live - 512);
  expect(BASE % 512).toBe(0);
});

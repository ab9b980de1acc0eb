import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_RANDOM,
  mmput,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  pteHugeLeaf,
  ptePfn,
  ptePresent,
  since,
  sysFork,
  sysMadvise,
  sysMlock,
  sysMunlock,
  VM_SPECIAL,
} from "@mmu-notifier/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BASE, prot, VmaMachine } from "./vma-machine.js";

const SPACE = 1100;

interface Op {
  readonly name: string;
  run(m: VmaMachine): void;
}

const range = fc.oneof(
  fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 12 })),
  fc.tuple(fc.integer({ min: 480, max: 1000 }), fc.integer({ min: 1, max: 90 })),
);
const rights = fc.constantFrom("rw", "r", "none", "rwx");
const advice = fc.constantFrom(
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_RANDOM,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
);
const moves = fc.constantFrom(MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, 0);

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(range, rights).map(([[at, pages], how]): Op => ({
      name: `map ${at} ${pages} ${how}`,
      run: (m) => m.anon(at, pages, prot(how)),
    })),
  },
  {
    weight: 6,
    arbitrary: range.map(([at, pages]): Op => ({
      name: `write ${at} ${pages}`,
      run: (m) => m.writeAll(at, Math.min(pages, 4)),
    })),
  },
  { weight: 2, arbitrary: fc.constant<Op>({ name: "map 512 512 huge", run: (m) => hugeBlock(m) }) },
  {
    weight: 3,
    arbitrary: range.map(([at, pages]): Op => ({
      name: `unmap ${at} ${pages}`,
      run: (m) => void m.run(m.unmap(at, pages)),
    })),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(range, rights).map(([[at, pages], how]): Op => ({
      name: `protect ${at} ${pages} ${how}`,
      run: (m) => void m.run(m.protect(at, pages, how)),
    })),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(range, fc.integer({ min: 1, max: 12 }), moves, fc.nat(SPACE - 100))
      .map(([[at, pages], size, flags, to]): Op => ({
        name: `remap ${at} ${pages} ${size} ${flags} ${to}`,
        run: (m) => void m.run(m.remap(at, pages, size, flags, to)),
      })),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(range, advice).map(([[at, pages], what]): Op => ({
      name: `advise ${at} ${pages} ${what}`,
      run: (m) => void m.run(sysMadvise(m.k, m.t, m.at(at), pages * PAGE_SIZE, what)),
    })),
  },
  range.map(([at, pages]): Op => ({
    name: `mlock ${at} ${pages}`,
    run: (m) => void m.run(sysMlock(m.k, m.t, m.at(at), pages * PAGE_SIZE)),
  })),
  range.map(([at, pages]): Op => ({
    name: `munlock ${at} ${pages}`,
    run: (m) => void m.run(sysMunlock(m.k, m.t, m.at(at), pages * PAGE_SIZE)),
  })),
);

function hugeBlock(m: VmaMachine): void {
  m.anon(512, 512);
  m.run(sysMadvise(m.k, m.t, m.at(512), 512 * PAGE_SIZE, MADV_HUGEPAGE));
  m.write(700);
}

/** Frames by page; 0 where nothing is present. */
function translations(m: VmaMachine): number[] {
  const pgd = m.k.mms.pgd(m.t.mm);
  return Array.from({ length: SPACE }, (_, page) => {
    const leaf = m.k.tables.leaf(pgd, BASE + page);
    const pte = leaf === 0 ? 0 : m.k.tables.get(leaf);
    if (!ptePresent(pte)) return 0;
    return ptePfn(pte) + (pteHugeLeaf(pte) ? page % 512 : 0);
  });
}

function checkVmas(m: VmaMachine): void {
  const { vmas, mms } = m.k;
  const list = mms.vmaList(m.t.mm);
  for (let i = 0; i < vmas.count(list); i++) {
    const vma = vmas.at(list, i);
    expect(vmas.start(vma)).toBeLessThan(vmas.end(vma));
    if (i === 0) continue;
    const before = vmas.at(list, i - 1);
    expect(vmas.end(before)).toBeLessThanOrEqual(vmas.start(vma));
    if (vmas.end(before) < vmas.start(vma)) continue;
    // What touches and is alike in everything was merged. Up to v6.15 a VMA without pages does not grow over one with pages, and
    // both may share an anon_vma later.
    const comparable = since(m.k.profile, 6, 16) || vmas.anonVma(vma) === 0;
    const alike =
      comparable &&
      vmas.flags(before) === vmas.flags(vma) &&
      (vmas.flags(vma) & VM_SPECIAL) === 0 &&
      vmas.anonVma(before) === vmas.anonVma(vma) &&
      vmas.linearIndex(before, vmas.end(before)) === vmas.pgoff(vma);
    expect(alike).toBe(false);
  }
}

/** Every page that was translated and is not any more, or is another frame, lay in a range that started in this call. */
function checkCovered(before: readonly number[], after: readonly number[], log: readonly string[], name: string): void {
  const ranges = log.filter((line) => line.startsWith("S ")).map((line) => line.split(" ")[1]!.split("-").map(Number));
  for (let page = 0; page < SPACE; page++) {
    if (before[page] === 0 || before[page] === after[page]) continue;
    const covered = ranges.some(([start, end]) => start! <= page && page < end!);
    if (!covered) throw new Error(`${name}: page ${page} vanished outside of ${JSON.stringify(ranges)}`);
  }
  const starts = log.filter((line) => line.startsWith("S ")).length;
  expect(log.filter((line) => line.startsWith("E ")).length).toBe(starts);
}

describe.each([
  ["v5.10", "arm64"],
  ["v6.4", "x86-64"],
  ["v6.12", "arm64"],
  ["v6.18", "x86-64"],
])("after any sequence of calls on %s %s", (profile, arch) => {
  test("VMAs are in order, merges maximal, vanished translations announced, nothing leaks", () => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 1, maxLength: 25 }), fc.nat(25), (ops, forkAt) => {
        const m = new VmaMachine(profile, arch);
        let child = 0;
        for (const [i, call] of ops.entries()) {
          if (i === forkAt) child = m.run(sysFork(m.k, m.t));
          const before = translations(m);
          const log = m.heard(() => call.run(m));
          checkVmas(m);
          checkCovered(before, translations(m), log, call.name);
        }
        if (child !== 0) m.run(mmput(m.k, { cpu: 0, mm: child }));
        m.run(mmput(m.k, m.t));
        expect(m.k.vmas.segment.live).toBe(0);
        expect(m.k.anonVmas.segment.live).toBe(0);
        // Frames that stay are the zero pages; pages in between that were freed twice would have thrown.
        const zero = m.k.pages.zeroPfn;
        const hugeZero = m.k.pages.private(zero);
        expect(m.k.pages.segment.live).toBe(1 + (hugeZero === 0 ? 0 : 512));
      }),
      { numRuns: 60 },
    );
  });
});

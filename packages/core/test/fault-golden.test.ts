import { describe, expect, it } from "vitest";
import { isSwapPte, mkPte, mkSwp, pteMkold, SWP_SWAP, VM_HUGEPAGE } from "@mmu-notifier/core";
import { FaultMachine } from "./fault-machine.js";

const BEFORE = "v6.4";
const PATCHED = "v6.4+upgrade-event";
const FIXED = "v6.4+upgrade-event-fixed";
const SINCE = "v6.12";
const ARM = "arm64";
const X86 = "x86-64";

/** The event of the patch for one page or block: a start, and an end that calls the hook. */
const upgrade = (range: string): string[] => [
  `start PROTECTION_UPGRADE ${range}`,
  `end PROTECTION_UPGRADE ${range}`,
  `hook ${range}`,
];

/** A copy on write as kernels up to v6.5 show it: everything under the lock, then an end without a second hook call. */
const copyBefore = (range: string): string[] => [
  `start CLEAR ${range}`,
  "lock",
  "clear",
  `flush ${range}`,
  `hook ${range}`,
  `change_pte ${range.split("..")[0]}`,
  "set",
  "unlock",
  `only_end CLEAR ${range}`,
];

/** The same since v6.6: the hook comes out of the flush, and there is no change_pte. */
const copySince = (range: string): string[] => [
  `start CLEAR ${range}`,
  "lock",
  "clear",
  `flush ${range}`,
  `hook ${range}`,
  "set",
  "unlock",
  `end CLEAR ${range}`,
];

/** The part of a timeline from the first range event on. */
const fromStart = (timeline: string[]): string[] =>
  timeline.slice(timeline.findIndex((what) => what.startsWith("start")));

describe.each([ARM, X86])("faults that every kernel shares on %s", (arch) => {
  it.each([BEFORE, PATCHED, SINCE])("%s: a first write maps a page and tells nobody", (profile) => {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4 });

    expect(m.timeline(() => m.write(0))).toEqual(["lock", "set", "unlock"]);
    expect(m.timeline(() => m.read(1))).toEqual(["lock", "set", "unlock"]);
  });

  it.each([
    [BEFORE, copyBefore("0..1")],
    [PATCHED, copyBefore("0..1")],
    [SINCE, copySince("0..1")],
  ])("%s: a write to the zero page is announced, and the page replaced under the lock", (profile, expected) => {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4 });
    m.read(0);

    expect(fromStart(m.timeline(() => m.write(0)))).toEqual(expected);
    expect(m.read(0)).toBe(1);
  });

  it.each([
    [BEFORE, copyBefore("0..1")],
    [PATCHED, copyBefore("0..1")],
    [SINCE, copySince("0..1")],
  ])("%s: a write while the child shares the page copies it", (profile, expected) => {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4 });
    m.write(0, 7);
    const child = m.fork();

    expect(fromStart(m.timeline(() => m.write(0, 8)))).toEqual(expected);
    expect(m.read(0, child)).toBe(7);
    expect(m.read(0)).toBe(8);
  });
});

describe("a write after the child has gone reuses the page", () => {
  /** The path of every fork that is followed by exec or exit, and of copy-on-write snapshots. */
  function reuse(profile: string, arch: string): string[] {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4 });
    m.write(0);
    m.reap(m.fork());
    return m.timeline(() => m.write(0));
  }

  it("arm64 flushes the CPUs and tells nobody in v6.4", () => {
    expect(reuse(BEFORE, ARM)).toEqual(["lock", "gain 0..1", "flush 0..1", "unlock"]);
  });

  it("Q1: the patch as written does not cover wp_page_reuse", () => {
    expect(reuse(PATCHED, ARM)).toEqual(reuse(BEFORE, ARM));
  });

  it("the repaired patch sends the event after the lock", () => {
    expect(reuse(FIXED, ARM)).toEqual(["lock", "gain 0..1", "flush 0..1", "unlock", ...upgrade("0..1")]);
  });

  it("arm64 tells secondary TLBs from the flush since v6.6", () => {
    expect(reuse(SINCE, ARM)).toEqual(["lock", "gain 0..1", "flush 0..1", "hook 0..1", "unlock"]);
  });

  it.each([BEFORE, PATCHED, SINCE])("x86 flushes nothing and tells nobody in %s", (profile) => {
    expect(reuse(profile, X86)).toEqual(["lock", "gain 0..1", "unlock"]);
  });
});

describe("a shared shmem page is read, then written", () => {
  function readThenWrite(profile: string, arch: string): string[] {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4, shared: true });
    m.read(0);
    return m.timeline(() => m.write(0));
  }

  it("arm64 v6.4: the entry was writable and clean; it gets dirty and the CPUs are flushed", () => {
    expect(readThenWrite(BEFORE, ARM)).toEqual(["lock", "gain 0..1", "flush 0..1", "unlock"]);
  });

  it("Q15: this is what the patch covers", () => {
    expect(readThenWrite(PATCHED, ARM)).toEqual(["lock", "gain 0..1", "flush 0..1", "unlock", ...upgrade("0..1")]);
  });

  it("arm64 v6.12: the flush tells", () => {
    expect(readThenWrite(SINCE, ARM)).toEqual(["lock", "gain 0..1", "flush 0..1", "hook 0..1", "unlock"]);
  });

  it.each([BEFORE, PATCHED, SINCE])("hardware dirty management is silent in %s", (profile) => {
    expect(readThenWrite(profile, "arm64-hafdbs")).toEqual([]);
    expect(readThenWrite(profile, X86)).toEqual([]);
  });
});

describe("a shared page of a disk file is read, then written", () => {
  function readThenWrite(profile: string, arch: string): string[] {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4, shared: true, file: m.disk(4) });
    m.read(0);
    return m.timeline(() => m.write(0));
  }

  it("goes through finish_mkwrite_fault and wp_page_reuse: the patch misses it (Q1)", () => {
    const expected = ["lock", "unlock", "lock", "gain 0..1", "flush 0..1", "unlock"];

    expect(readThenWrite(BEFORE, ARM)).toEqual(expected);
    expect(readThenWrite(PATCHED, ARM)).toEqual(expected);
    expect(readThenWrite(FIXED, ARM)).toEqual([...expected, ...upgrade("0..1")]);
    expect(readThenWrite(SINCE, ARM)).toEqual([
      "lock",
      "unlock",
      "lock",
      "gain 0..1",
      "flush 0..1",
      "hook 0..1",
      "unlock",
    ]);
    expect(readThenWrite(SINCE, X86)).toEqual(["lock", "unlock", "lock", "gain 0..1", "unlock"]);
  });
});

describe("transparent huge pages", () => {
  function thp(profile: string, arch: string): FaultMachine {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 512 });
    m.advise(0, VM_HUGEPAGE);
    return m;
  }

  it("Q2: reuse of a huge page after the child has gone is silent with the patch", () => {
    const write = (profile: string, arch: string): string[] => {
      const m = thp(profile, arch);
      m.write(5);
      m.reap(m.fork());
      return m.timeline(() => m.write(7));
    };

    expect(write(PATCHED, ARM)).toEqual(["lock", "gain 0..512", "flush 0..1", "unlock"]);
    expect(write(FIXED, ARM)).toEqual(["lock", "gain 0..512", "flush 0..1", "unlock", ...upgrade("0..512")]);
    expect(write(SINCE, ARM)).toEqual(["lock", "gain 0..512", "flush 0..1", "hook 0..1", "unlock"]);
    expect(write(SINCE, X86)).toEqual(["lock", "gain 0..512", "unlock"]);
  });

  it("a shared huge page is split for a write, and one page of it copied", () => {
    const m = thp(SINCE, X86);
    m.write(5, 3);
    const child = m.fork();

    expect(m.told(() => m.write(5, 4))).toEqual([
      "start CLEAR 0..512",
      "flush all",
      "hook all",
      "end CLEAR 0..512",
      "start CLEAR 5..6",
      "flush 5..6",
      "hook 5..6",
      "end CLEAR 5..6",
    ]);
    expect(m.read(5, child)).toBe(3);
    expect(m.read(5)).toBe(4);
  });

  it("up to v6.5 the split of an anonymous huge page does not reach secondary TLBs", () => {
    const m = thp(BEFORE, ARM);
    m.write(5);
    m.fork();

    expect(m.told(() => m.write(5)).slice(0, 3)).toEqual([
      "start CLEAR 0..512",
      "flush 0..512",
      "only_end CLEAR 0..512",
    ]);
  });

  it("a write to the huge zero page splits it up to v6.12 and gives a huge page in v6.18", () => {
    const split = thp(SINCE, X86);
    const whole = thp("v6.18", X86);
    split.read(0);
    whole.read(0);

    expect(split.told(() => split.write(0)).filter((what) => what.startsWith("start"))).toEqual([
      "start CLEAR 0..512",
      "start CLEAR 0..1",
    ]);
    expect(whole.told(() => whole.write(0)).filter((what) => what.startsWith("start"))).toEqual(["start CLEAR 0..512"]);
    expect(split.k.tables.levelOf(split.ptep(0))).toBe(0);
    expect(whole.k.tables.levelOf(whole.ptep(0))).toBe(1);
  });

  it("touch_pmd makes an old entry young without a flush", () => {
    const m = thp(SINCE, ARM);
    m.write(0);
    m.setPte(0, pteMkold(m.pte(0)));

    expect(m.timeline(() => m.read(3))).toEqual(["lock", "unlock"]);
    expect(m.pte(0)).toBe(m.pte(0) | (1 << 5));
  });
});

describe("hugetlb", () => {
  function hugetlb(profile: string, arch: string): FaultMachine {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 512, hugetlb: true });
    return m;
  }

  it("the patch announces an upgrade, and a fixed one only what gained a right", () => {
    const readThenWrite = (profile: string): string[] => {
      const m = hugetlb(profile, ARM);
      m.read(0);
      return m.told(() => m.write(0));
    };

    expect(readThenWrite(BEFORE)).toEqual(["gain 0..512", "flush 0..1"]);
    expect(readThenWrite(PATCHED)).toEqual(["gain 0..512", "flush 0..1", ...upgrade("0..512")]);
    expect(readThenWrite(FIXED)).toEqual(["gain 0..512", "flush 0..1", ...upgrade("0..512")]);
    expect(readThenWrite(SINCE)).toEqual(["gain 0..512", "flush 0..1", "hook 0..1"]);
  });

  it("Q6: the patch announces a full copy twice, as CLEAR and as an upgrade", () => {
    const copy = (profile: string): string[] => {
      const m = hugetlb(profile, ARM);
      m.write(0);
      m.fork();
      return m.told(() => m.write(0)).filter((what) => what.startsWith("start"));
    };

    expect(copy(BEFORE)).toEqual(["start CLEAR 0..512"]);
    expect(copy(PATCHED)).toEqual(["start CLEAR 0..512", "start PROTECTION_UPGRADE 0..512"]);
    expect(copy(FIXED)).toEqual(["start CLEAR 0..512"]);
  });

  it("Q7: on an architecture with a local flush in update_mmu_cache the patch flushes twice", () => {
    const upgradeOnRiscv = (profile: string): string[] => {
      const m = hugetlb(profile, "riscv64");
      m.read(0);
      return m.told(() => m.write(0)).filter((what) => what.endsWith("local"));
    };

    expect(upgradeOnRiscv(BEFORE)).toEqual(["flush 0..1 local"]);
    expect(upgradeOnRiscv(PATCHED)).toEqual(["flush 0..1 local", "flush 0..1 local"]);
  });

  it("up to v6.5 the hook hears of a copy under the lock and again at the end", () => {
    const m = hugetlb(BEFORE, X86);
    m.write(0);
    m.fork();

    expect(m.told(() => m.write(0))).toEqual([
      "start CLEAR 0..512",
      "flush 0..1",
      "hook 0..512",
      "end CLEAR 0..512",
      "hook 0..512",
    ]);
  });
});

describe("swap-in for a write (Q3)", () => {
  /** Page 0 is in swap and `users` entries refer to its slot, the machine's own included. */
  function swappedOut(
    profile: string,
    arch: string,
    users: number,
  ): { readonly m: FaultMachine; readonly slot: number } {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4 });
    m.write(0, 9);
    const { k } = m;
    const slot = k.swap.alloc(9);
    m.poke(() => {
      for (let user = 0; user < users; user++) k.swap.get(slot);
      const pfn = m.pfn(0);
      k.pages.addMapcount(pfn, -1);
      k.pages.put(pfn);
      m.setPte(0, mkSwp(SWP_SWAP, slot));
    });
    return { m, slot };
  }

  it("maps the only user's page writable at once", () => {
    const { m } = swappedOut(SINCE, ARM, 1);

    expect(isSwapPte(m.pte(0))).toBe(true);
    expect(m.timeline(() => m.write(0, 2))).toEqual(["lock", "set", "unlock"]);
    expect(m.read(0)).toBe(2);
  });

  it("maps a page that another process shares read-only and copies it in the same section", () => {
    const { m } = swappedOut(SINCE, ARM, 2);

    expect(m.timeline(() => m.write(0, 2))).toEqual(["lock", "set", "unlock", ...copySince("0..1")]);
    expect(m.read(0)).toBe(2);
  });

  it("upgrades the entry that it has just made when the other process lets go in between", () => {
    const upgraded = (profile: string): string[] => {
      const { m, slot } = swappedOut(profile, ARM, 2);
      m.k.scheduler.observe((_, { label }) => {
        if (label.startsWith("set_pte_at")) m.k.swap.put(slot);
      });
      return m.told(() => m.write(0, 2));
    };

    expect(upgraded(BEFORE)).toEqual(["gain 0..1", "flush 0..1"]);
    expect(upgraded(PATCHED)).toEqual(["gain 0..1", "flush 0..1"]);
    expect(upgraded(FIXED)).toEqual(["gain 0..1", "flush 0..1", ...upgrade("0..1")]);
    expect(upgraded(SINCE)).toEqual(["gain 0..1", "flush 0..1", "hook 0..1"]);
  });
});

describe("DAX", () => {
  function daxWrite(profile: string, arch: string): string[] {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 8, shared: true, file: m.frames("dax", 8) });
    expect(m.read(0)).toBe(50);
    return m.told(() => m.write(0));
  }

  it("insert_pfn with mkwrite upgrades in place, and the patch covers it", () => {
    expect(daxWrite(BEFORE, ARM)).toEqual(["gain 0..1", "flush 0..1"]);
    expect(daxWrite(PATCHED, ARM)).toEqual(["gain 0..1", "flush 0..1", ...upgrade("0..1")]);
    expect(daxWrite(SINCE, ARM)).toEqual(["gain 0..1", "flush 0..1", "hook 0..1"]);
    expect(daxWrite(SINCE, X86)).toEqual(["gain 0..1"]);
  });

  it("Q2: insert_pfn_pmd is not covered", () => {
    const write = (profile: string): string[] => {
      const m = new FaultMachine(profile, ARM);
      m.map({ start: 0, pages: 512, shared: true, file: m.frames("dax", 512, true) });
      expect(m.read(3)).toBe(53);
      return m.told(() => m.write(3));
    };

    expect(write(PATCHED)).toEqual(["gain 0..512", "flush 0..1"]);
    expect(write(FIXED)).toEqual(["gain 0..512", "flush 0..1", ...upgrade("0..512")]);
  });
});

describe("what update_mmu_cache() means (Q8)", () => {
  it("riscv64 says changed for every handled fault, so the patch announces upgrades that are none", () => {
    const spurious = (profile: string): string[] => {
      const m = new FaultMachine(profile, "riscv64");
      m.map({ start: 0, pages: 4 });
      m.write(0);
      m.setPte(0, pteMkold(m.pte(0)));
      return m.told(() => m.read(0)).filter((what) => what.startsWith("start"));
    };

    expect(spurious(BEFORE)).toEqual([]);
    expect(spurious(PATCHED)).toEqual(["start PROTECTION_UPGRADE 0..1"]);
    expect(spurious(FIXED)).toEqual([]);
  });

  it("an entry that only gets young is announced on arm64 too", () => {
    const aged = (profile: string): string[] => {
      const m = new FaultMachine(profile, ARM);
      m.map({ start: 0, pages: 4 });
      m.write(0);
      m.setPte(0, pteMkold(m.pte(0)));
      return m.told(() => m.read(0));
    };

    expect(aged(BEFORE)).toEqual([]);
    expect(aged(PATCHED)).toEqual(upgrade("0..1"));
    expect(aged(FIXED)).toEqual([]);
    expect(aged(SINCE)).toEqual([]);
  });
});

describe("private mappings of frames without struct page (Q4, Q5)", () => {
  /** A read maps the frame; aging makes the entry old; the write then copies through the user's own mapping. */
  function agedPfnMap(profile: string, arch: string): FaultMachine {
    const m = new FaultMachine(profile, arch);
    m.map({ start: 0, pages: 4, file: m.frames("pfnmap", 4) });
    m.read(0);
    m.setPte(0, pteMkold(m.pte(0)));
    return m;
  }

  it("Q4: nothing is upgraded, and CLEAR follows anyway", () => {
    const m = agedPfnMap(BEFORE, ARM);

    const told = m.told(() => m.write(0, 4));

    expect(told.filter((what) => what.startsWith("gain"))).toEqual([]);
    expect(told.filter((what) => what.startsWith("start"))).toEqual(["start CLEAR 0..1", "start CLEAR 0..1"]);
    expect(m.read(0)).toBe(4);
  });

  it("Q5: the patch calls a sleeping function under the page-table lock", () => {
    const m = agedPfnMap(PATCHED, ARM);

    expect(() => m.write(0)).toThrow(/sleeping function called from invalid context.*__wp_page_copy_user.*ptl/);
  });

  it("the repaired patch sends nothing there, and neither does an architecture with a hardware access flag", () => {
    const fixed = agedPfnMap(FIXED, ARM);
    const hardware = agedPfnMap(PATCHED, X86);

    expect(fixed.write(0, 6)).toBe(6);
    expect(fixed.told(() => fixed.write(1))).not.toContain("start PROTECTION_UPGRADE 1..2");
    expect(hardware.write(0, 6)).toBe(6);
  });

  it("copies the frame's bytes", () => {
    const m = agedPfnMap(SINCE, ARM);
    m.map({ start: 8, pages: 4, file: m.frames("pfnmap", 4) });
    m.read(8);
    const before = m.pfn(8);

    expect(m.write(8, 3)).toBe(3);
    expect(m.pfn(8)).not.toBe(before);
    expect(m.k.pages.content(before)).toBe(50);
    expect(mkPte(before, 0)).not.toBe(m.pte(8));
  });
});

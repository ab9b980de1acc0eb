import { describe, expect, it } from "vitest";
import {
  PG_KSM,
  PG_LOCKED,
  PG_SWAPCACHE,
  pteClearUffdWp,
  pteMkuffdWp,
  pteUffdWp,
  pteWrite,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_ASYNC,
  VM_HUGEPAGE,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from "@mmu-notifier/core";
import { FaultMachine } from "./fault-machine.js";

/** A private page that lost its write bit, as after a fork whose child has gone. */
function writeProtected(profile = "v6.12", arch = "x86-64"): FaultMachine {
  const m = new FaultMachine(profile, arch);
  m.map({ start: 0, pages: 4 });
  m.write(0, 5);
  m.setPte(0, m.k.pte.wrprotect(m.pte(0)));
  m.k.pages.setAnonExclusive(m.pfn(0), false);
  return m;
}

/** `reuse` when the write keeps the frame, `copy` when it gets another. */
function outcome(m: FaultMachine): string {
  const before = m.pfn(0);
  m.write(0, 6);
  return m.pfn(0) === before ? "reuse" : "copy";
}

describe("do_wp_page on a private page", () => {
  it.each([
    [
      "AnonExclusive, whatever the references say",
      "reuse",
      (m: FaultMachine) => (m.k.pages.setAnonExclusive(m.pfn(0), true), m.k.pages.get(m.pfn(0), 4)),
    ],
    ["the mapping's reference is the only one", "reuse", () => {}],
    [
      "somebody else has a reference, though nobody else maps the page",
      "copy",
      (m: FaultMachine) => m.k.pages.get(m.pfn(0)),
    ],
    ["the page is KSM's", "copy", (m: FaultMachine) => m.k.pages.mark(m.pfn(0), PG_KSM)],
    ["somebody holds the folio lock", "copy", (m: FaultMachine) => m.k.pages.mark(m.pfn(0), PG_LOCKED)],
    [
      "the swap cache has the other reference and no entry refers to the slot",
      "reuse",
      (m: FaultMachine) => {
        const slot = m.k.swap.alloc(5);
        m.k.swap.setCached(slot, m.pfn(0));
        m.k.pages.setPrivate(m.pfn(0), slot);
        m.k.pages.mark(m.pfn(0), PG_SWAPCACHE);
        m.k.pages.get(m.pfn(0));
      },
    ],
    [
      "an entry of another process refers to the page's swap slot",
      "copy",
      (m: FaultMachine) => {
        const slot = m.k.swap.alloc(5);
        m.k.swap.get(slot);
        m.k.swap.setCached(slot, m.pfn(0));
        m.k.pages.setPrivate(m.pfn(0), slot);
        m.k.pages.mark(m.pfn(0), PG_SWAPCACHE);
        m.k.pages.get(m.pfn(0));
      },
    ],
  ] as const)("%s: %s", (_, expected, prepare) => {
    const m = writeProtected();
    m.poke(() => {
      prepare(m);
    });

    expect(outcome(m)).toBe(expected);
    expect(m.read(0)).toBe(6);
    expect(pteWrite(m.pte(0))).toBe(true);
  });

  it("sets AnonExclusive on reuse and on copy", () => {
    for (const shared of [false, true]) {
      const m = writeProtected();
      if (shared) m.poke(() => m.k.pages.get(m.pfn(0)));
      m.write(0);

      expect(m.k.pages.anonExclusive(m.pfn(0))).toBe(true);
    }
  });

  it("does not look at AnonExclusive in v5.10, which has none", () => {
    const m = writeProtected("v5.10");
    m.poke(() => {
      m.k.pages.setAnonExclusive(m.pfn(0), true);
      m.k.pages.get(m.pfn(0));
    });

    expect(outcome(m)).toBe("copy");
  });

  it("copies pages of a file and leaves the file alone", () => {
    const m = new FaultMachine("v6.12", "arm64");
    const file = m.disk(4);
    m.map({ start: 0, pages: 4, file });

    expect(m.read(1)).toBe(101);
    expect(m.write(1, 7)).toBe(7);
    expect(m.k.pages.content(m.k.files.cached(m.k.files.inode(file), 1))).toBe(101);
  });

  it("v6.12 never reuses a part of a large folio, v6.18 does when all its mappings are here", () => {
    const partOfThp = (profile: string): string => {
      const m = new FaultMachine(profile, "x86-64");
      m.map({ start: 0, pages: 512 });
      m.advise(0, 1 << 26);
      m.write(0, 5);
      const child = m.fork();
      m.write(1, 9);
      m.reap(child);
      return outcome(m);
    };

    expect(partOfThp("v6.12")).toBe("copy");
    expect(partOfThp("v6.18")).toBe("reuse");
  });
});

describe("hugetlb_wp decides by the map count", () => {
  it("reuses a page that others refer to but do not map", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 512, hugetlb: true });
    m.read(0);
    m.poke(() => m.k.pages.get(m.pfn(0), 3));

    expect(outcome(m)).toBe("reuse");
  });

  it("copies a page that a child maps, and takes it from the pool", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 512, hugetlb: true });
    m.write(0, 5);
    const child = m.fork();
    const free = m.k.hugetlb.free;

    expect(outcome(m)).toBe("copy");
    expect(m.k.hugetlb.free).toBe(free - 1);
    expect(m.read(0, child)).toBe(5);
  });

  it("takes the page away from the children when the pool is empty and the owner writes", () => {
    const m = new FaultMachine("v6.12", "x86-64", { config: { hugetlbPages: 1 } });
    m.map({ start: 0, pages: 512, hugetlb: true });
    m.write(0, 5);
    const child = m.fork();

    expect(outcome(m)).toBe("reuse");
    expect(m.read(0, child)).toBe("BUS 2");
  });

  it("a write beyond the promise is SIGBUS", () => {
    const m = new FaultMachine("v6.12", "x86-64", { config: { hugetlbPages: 1 } });
    m.map({ start: 0, pages: 1024, hugetlb: true, noreserve: true });

    expect(m.write(0)).toBe(1);
    expect(m.write(512)).toBe("BUS 2");
  });
});

describe("userfaultfd", () => {
  function registered(features: number, flags: number, profile = "v6.12"): FaultMachine {
    const m = new FaultMachine(profile, "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0, 5);
    m.advise(0, flags);
    m.k.vmas.setUffd(m.vma(0), m.k.uffds.create(features));
    return m;
  }

  it("a missing page is SIGBUS with UFFD_FEATURE_SIGBUS", () => {
    const m = registered(UFFD_FEATURE_SIGBUS, VM_UFFD_MISSING);

    expect(m.read(1)).toBe("BUS 2");
    expect(m.write(1)).toBe("BUS 2");
    expect(m.read(0)).toBe(5);
  });

  it("a write to a protected page is SIGBUS, and nobody is told", () => {
    const m = registered(UFFD_FEATURE_SIGBUS, VM_UFFD_WP);
    m.setPte(0, pteMkuffdWp(m.k.pte.wrprotect(m.pte(0))));

    expect(m.told(() => m.write(0))).toEqual([]);
    expect(m.write(0)).toBe("BUS 2");
  });

  it("the kernel lifts the protection itself with UFFD_FEATURE_WP_ASYNC", () => {
    const m = registered(UFFD_FEATURE_WP_ASYNC, VM_UFFD_WP);
    m.setPte(0, pteMkuffdWp(m.k.pte.wrprotect(m.pte(0))));

    expect(m.told(() => m.write(0, 8))).toEqual(["gain 0..1"]);
    expect(pteUffdWp(m.pte(0))).toBe(false);
    expect(m.read(0)).toBe(8);
  });

  it("without either the task sleeps until the monitor has resolved the fault", () => {
    const m = registered(0, VM_UFFD_WP);
    m.setPte(0, pteMkuffdWp(m.k.pte.wrprotect(m.pte(0))));

    expect(() => m.write(0)).toThrow(expect.objectContaining({ code: "DEADLOCK" }) as Error);

    const resolved = registered(0, VM_UFFD_WP);
    resolved.setPte(0, pteMkuffdWp(resolved.k.pte.wrprotect(resolved.pte(0))));
    resolved.k.scheduler.observe((_, { label }) => {
      if (label.startsWith("up_read")) resolved.setPte(0, resolved.k.pte.mkwrite(pteClearUffdWp(resolved.pte(0))));
    });
    expect(resolved.write(0, 3)).toBe(3);
  });

  it("a hole of shared memory is missing, a page that is there is not", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4, shared: true, file: m.shmem(4) });
    m.write(0, 5);
    m.advise(0, VM_UFFD_MISSING);
    m.k.vmas.setUffd(m.vma(0), m.k.uffds.create(UFFD_FEATURE_SIGBUS));

    expect(m.read(0)).toBe(5);
    expect(m.read(1)).toBe("BUS 2");
    expect(m.write(2)).toBe("BUS 2");
  });

  it("minor faults are about pages that are there and not mapped", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    const file = m.shmem(4);
    m.map({ start: 0, pages: 4, shared: true, file });
    m.write(0, 5);
    m.map({ start: 8, pages: 4, shared: true, file });
    m.advise(8, VM_UFFD_MINOR);
    m.k.vmas.setUffd(m.vma(8), m.k.uffds.create(UFFD_FEATURE_SIGBUS));

    expect(m.read(8)).toBe("BUS 2");
    expect(m.read(9)).toBe(0);
  });

  it("a huge page under asynchronous protection is split for the write", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 512 });
    m.advise(0, VM_HUGEPAGE | VM_UFFD_WP);
    m.write(0, 5);
    m.k.vmas.setUffd(m.vma(0), m.k.uffds.create(UFFD_FEATURE_WP_ASYNC));
    m.setPte(0, pteMkuffdWp(m.k.pte.wrprotect(m.pte(0))));

    expect(m.told(() => m.write(3, 8)).filter((what) => what.startsWith("start"))).toEqual(["start CLEAR 0..512"]);
    expect(pteUffdWp(m.pte(3))).toBe(false);
    expect(pteUffdWp(m.pte(4))).toBe(true);
  });

  it("a hugetlb page: SIGBUS, or lifted by the kernel", () => {
    for (const [features, expected] of [
      [UFFD_FEATURE_SIGBUS, "BUS 2"],
      [UFFD_FEATURE_WP_ASYNC, 8],
    ] as const) {
      const m = new FaultMachine("v6.12", "x86-64");
      m.map({ start: 0, pages: 512, hugetlb: true });
      m.write(0, 5);
      m.advise(0, VM_UFFD_WP);
      m.k.vmas.setUffd(m.vma(0), m.k.uffds.create(features));
      m.setPte(0, pteMkuffdWp(m.k.pte.wrprotect(m.pte(0))));

      expect(m.write(0, 8)).toBe(expected);
    }
  });
});

import { step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  EFAULT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_VMA_LOCK,
  type KernelEvent,
  mkSwp,
  PG_DEVICE,
  pinUserPages,
  PTE_PROTNONE,
  PTE_VALID,
  pteNone,
  ptePresent,
  pteWrite,
  pteYoung,
  SWP_DEVICE_EXCLUSIVE_WRITE,
  SWP_DEVICE_WRITE,
  SWP_HWPOISON,
  SWP_MARKER_GUARD,
  SWP_MIGRATION_WRITE,
  TINY,
  unpinUserPages,
  VM_FAULT_COMPLETED,
  VM_FAULT_LOCKED,
  VM_FAULT_MAJOR,
  VM_FAULT_NOPAGE,
  VM_FAULT_RETRY,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_RAND_READ,
} from "@mmu-notifier/core";
import { BASE, FaultMachine } from "./fault-machine.js";

type HandleMmFault = Extract<KernelEvent, { kind: "handle-mm-fault" }>;

/** What handle_mm_fault() was asked and answered while `action` ran. */
function handled(m: FaultMachine, action: () => void): HandleMmFault[] {
  m.events.length = 0;
  action();
  return m.events.filter((event): event is HandleMmFault => event.kind === "handle-mm-fault");
}

/** Pages of [0, count) that are mapped. */
function mapped(m: FaultMachine, count: number): number[] {
  return Array.from({ length: count }, (_, page) => page).filter((page) => ptePresent(m.pte(page)));
}

describe("signals", () => {
  const m = new FaultMachine("v6.12", "x86-64");
  m.map({ start: 0, pages: 1, prot: "r" });
  m.map({ start: 1, pages: 1, prot: "none" });
  m.map({ start: 2, pages: 1, prot: "rx" });
  m.map({ start: 4, pages: 4, shared: true, file: m.disk(2) });

  it.each([
    [3, "read", "SEGV 1"],
    [0, "write", "SEGV 2"],
    [0, "exec", "SEGV 2"],
    [1, "read", "SEGV 2"],
    [2, "exec", 0],
    [5, "read", 101],
    [6, "read", "BUS 2"],
  ] as const)("page %i: %s ends in %s", (page, access, expected) => {
    expect(m.access(page, access)).toBe(expected);
  });

  it("a guard marker is SEGV_MAPERR, hardware poison BUS_MCEERR_AR", () => {
    const marked = new FaultMachine("v6.18", "x86-64");
    marked.map({ start: 0, pages: 4 });
    marked.write(0);
    marked.write(1);
    marked.poke(() => {
      marked.setPte(0, mkSwp(SWP_MARKER_GUARD, 0));
      marked.setPte(1, mkSwp(SWP_HWPOISON, 0));
    });

    expect(marked.read(0)).toBe("SEGV 1");
    expect(marked.read(1)).toBe("BUS 4");
    expect(marked.kernelRead(0)).toBe(-EFAULT);
  });

  it("the page-fault event says present only when hardware found a valid entry", () => {
    const seen = new FaultMachine("v6.12", "x86-64");
    seen.map({ start: 0, pages: 2, prot: "r" });
    seen.read(0);
    seen.events.length = 0;
    seen.write(0);
    seen.read(1);

    expect(
      seen.events.filter(({ kind }) => kind === "page-fault").map((event) => "present" in event && event.present),
    ).toEqual([true, false]);
  });
});

describe("file faults", () => {
  it("fault-around maps the cached pages of a window that starts with the VMA at the latest and keeps its length", () => {
    const m = new FaultMachine("v6.18", "x86-64");
    m.map({ start: 3, pages: 30, shared: true, file: m.disk(64, 20) });
    const [fault] = handled(m, () => m.read(5));

    expect(fault!.result).toBe(VM_FAULT_NOPAGE);
    expect(mapped(m, 40)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    expect(mapped(m, 40).every((page) => !pteWrite(m.pte(page)))).toBe(true);
  });

  it("pages mapped around are old where hardware sets the access flag", () => {
    const young = (arch: string): boolean => {
      const m = new FaultMachine("v6.12", arch);
      m.map({ start: 0, pages: 16, file: m.disk(16) });
      m.read(0);
      return pteYoung(m.pte(1));
    };

    expect(young("arm64")).toBe(true);
    expect(young("arm64-hafdbs")).toBe(false);
    expect(young("x86-64")).toBe(true);
  });

  it("shmem pages are mapped writable by a read, and a write maps no others", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 8, shared: true, file: m.shmem(8) });
    m.write(2);

    expect(mapped(m, 8)).toEqual([2]);
    m.read(0);
    expect(pteWrite(m.pte(0))).toBe(true);
  });

  it("a page that is not cached is read with the lock dropped, and the access starts over", () => {
    const m = new FaultMachine("v6.12", "arm64");
    m.map({ start: 0, pages: 64, shared: true, file: m.disk(64, 0) });
    const [first, second] = handled(m, () => m.read(40));

    expect(first!.result).toBe(VM_FAULT_MAJOR | VM_FAULT_RETRY);
    expect(first!.flags & FAULT_FLAG_VMA_LOCK).not.toBe(0);
    expect(second!.flags & FAULT_FLAG_TRIED).not.toBe(0);
    expect(m.read(40)).toBe(140);
  });

  it("a write to a shared file page ends with the lock dropped: RETRY up to v5.19, COMPLETED since", () => {
    const results = (profile: string): number[] => {
      const m = new FaultMachine(profile, "x86-64");
      m.map({ start: 0, pages: 4, shared: true, file: m.disk(4) });
      return handled(m, () => m.write(0)).map(({ result }) => result & ~VM_FAULT_LOCKED);
    };

    expect(results("v5.10")).toEqual([VM_FAULT_RETRY, 0]);
    expect(results("v6.12")).toEqual([VM_FAULT_COMPLETED]);
  });
});

describe("large folios of a file", () => {
  /** Shared memory of one huge folio; page 0 of a private mapping of it has been replaced, so that the huge entry is gone. */
  function partOfHugeFolio(profile: string): FaultMachine {
    const m = new FaultMachine(profile, "x86-64", { config: { shmemThp: "always" } });
    m.map({ start: 0, pages: 512, file: m.shmem(512) });
    m.read(0);
    expect(m.k.tables.levelOf(m.ptep(0))).toBe(1);
    m.write(0, 7);
    return m;
  }

  it("are mapped by one entry where they fit", () => {
    const m = partOfHugeFolio("v6.12");

    expect(m.k.tables.levelOf(m.ptep(0))).toBe(0);
    expect(m.read(0)).toBe(7);
  });

  it("fault-around stays in its window up to v6.17 and maps the whole folio since", () => {
    const reached = (profile: string): number => {
      const m = partOfHugeFolio(profile);
      m.read(5);
      return mapped(m, 512).length;
    };

    expect(reached("v6.12")).toBe(16);
    expect(reached("v6.18")).toBe(512);
  });

  it("shared memory gets a huge folio only if the block lies in the VMA since v6.11", () => {
    const huge = (profile: string): boolean => {
      const m = new FaultMachine(profile, "x86-64", { config: { shmemThp: "advise" } });
      m.map({ start: 0, pages: 8, shared: true, file: m.shmem(8) });
      m.advise(0, VM_HUGEPAGE);
      m.write(0);
      return m.k.pages.order(m.pfn(0)) > 0;
    };

    expect(huge("v6.1")).toBe(true);
    expect(huge("v6.12")).toBe(false);
  });
});

describe("readahead", () => {
  it("marks a page, which then goes through ->fault() with the lock dropped and starts the next batch", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 256, shared: true, file: m.disk(256, 0) });
    m.read(0);

    expect(mapped(m, 256)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    expect(handled(m, () => m.read(24)).map(({ result }) => result)).toEqual([VM_FAULT_RETRY, VM_FAULT_NOPAGE]);
    expect(m.k.files.cacheLength(m.k.files.inode(m.k.vmas.file(m.vma(0))))).toBe(64);
  });

  it("MADV_RANDOM reads one page", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 64, shared: true, file: m.disk(64, 0) });
    m.advise(0, VM_RAND_READ);
    m.read(40);

    expect(mapped(m, 64)).toEqual([40]);
  });
});

describe("an address space of sixteen pages", () => {
  it("has huge pages of four, and the same faults", () => {
    const m = new FaultMachine("v6.12", "arm64", {
      geometry: TINY,
      base: 0,
      config: { mmapMinPage: 0, thp: "always" },
    });
    m.map({ start: 4, pages: 8 });
    m.write(5, 3);
    const child = m.fork();

    expect(m.k.tables.levelOf(m.ptep(5))).toBe(1);
    expect(m.told(() => m.write(6, 4)).filter((what) => what.startsWith("start"))).toEqual([
      "start CLEAR 4..8",
      "start CLEAR 6..7",
    ]);
    expect(m.read(5, child)).toBe(3);
    expect(m.read(5)).toBe(3);
    m.reap(child);
    expect(m.told(() => m.write(5, 9))).toContain("end CLEAR 5..6");
  });
});

describe("per-VMA locks", () => {
  it.each([
    ["v6.1", [false, false]],
    ["v6.4", [false, true]],
    ["v6.12", [true, true]],
  ] as const)("%s: first and second fault of an anonymous VMA", (profile, expected) => {
    const m = new FaultMachine(profile, "x86-64");
    m.map({ start: 0, pages: 4 });

    expect(
      handled(m, () => void (m.write(0), m.write(1))).map(({ flags }) => (flags & FAULT_FLAG_VMA_LOCK) !== 0),
    ).toEqual(expected);
  });

  it("a VMA that is being changed is faulted under mmap_lock", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.poke(() => m.k.vmas.startWrite(m.vma(0)));

    expect(handled(m, () => m.write(0)).map(({ flags }) => flags & FAULT_FLAG_VMA_LOCK)).toEqual([0]);
  });

  it("faults of the kernel take mmap_lock", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });

    expect(handled(m, () => m.kernelWrite(0, 7)).map(({ flags }) => flags & FAULT_FLAG_VMA_LOCK)).toEqual([0]);
    expect(m.kernelRead(0)).toBe(7);
  });
});

describe("growing stacks", () => {
  function stack(): FaultMachine {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 1000, pages: 4 });
    m.advise(1000, VM_GROWSDOWN);
    return m;
  }

  it("a fault below a growing VMA moves its start down", () => {
    const m = stack();

    expect(m.write(990, 3)).toBe(3);
    expect(m.vma(990)).toBe(m.vma(1000));
    expect(m.write(989 - 2048, 3)).toBe("SEGV 1");
  });

  it("a gap of 256 pages to the VMA below stays free", () => {
    const m = stack();
    m.map({ start: 700, pages: 4 });

    expect(m.write(960, 3)).toBe(3);
    expect(m.write(950, 3)).toBe("SEGV 1");
  });

  it("locked memory counts against its limit", () => {
    const m = new FaultMachine("v6.12", "x86-64", { config: { memlockLimit: 2, privileged: false } });
    m.map({ start: 1000, pages: 4 });
    m.advise(1000, VM_GROWSDOWN | VM_LOCKED);

    expect(m.write(999)).toBe(1);
    expect(m.write(990)).toBe("SEGV 1");
  });
});

describe("get_user_pages", () => {
  it("upgrades without a page fault of the CPU and without a notification", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0);
    m.reap(m.fork());
    m.events.length = 0;

    const told = m.told(() => m.gup(0, { write: true }));

    expect(told).toEqual(["gain 0..1"]);
    expect(m.events.some(({ kind }) => kind === "page-fault")).toBe(false);
    expect(pteWrite(m.pte(0))).toBe(true);
  });

  it("FOLL_FORCE reaches an exclusive page and leaves its entry read-only", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0, 5);
    m.protect(0, 4, "r");

    expect(m.gup(0, { write: true })).toBe(-EFAULT);
    expect(m.gup(0, { write: true, force: true })).toBe(m.pfn(0));
    expect(pteWrite(m.pte(0))).toBe(false);
  });

  it("FOLL_FORCE replaces a shared page and leaves the new entry read-only", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0, 5);
    m.protect(0, 4, "r");
    m.fork();
    const before = m.pfn(0);

    expect(m.told(() => m.gup(0, { write: true, force: true }))[0]).toBe("start CLEAR 0..1");
    expect(m.pfn(0)).not.toBe(before);
    expect(pteWrite(m.pte(0))).toBe(false);
  });

  it("FOLL_FORCE breaks sharing of hugetlb since v6.14 and leaves the entry read-only", () => {
    const forced = (profile: string): boolean => {
      const m = new FaultMachine(profile, "x86-64");
      m.map({ start: 0, pages: 512, hugetlb: true });
      m.write(0, 5);
      m.protect(0, 512, "r");
      m.fork();
      const page = m.gup(0, { write: true, force: true });
      expect(pteWrite(m.pte(0))).toBe(false);
      return page >= 0;
    };

    expect(forced("v6.12")).toBe(false);
    expect(forced("v6.18")).toBe(true);
  });

  it("FOLL_SPLIT_PMD splits a huge entry first", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 512 });
    m.advise(0, VM_HUGEPAGE);
    m.write(0, 5);

    expect(m.gup(7, { splitPmd: true })).toBe(m.pfn(7));
    expect(m.k.tables.levelOf(m.ptep(7))).toBe(0);
  });

  it("up to v5.18 FOLL_FORCE goes by the copy that was made in the call", () => {
    const m = new FaultMachine("v5.10", "x86-64");
    m.map({ start: 0, pages: 4, prot: "r" });

    expect(m.gup(0, { write: true, force: true })).toBe(m.pfn(0));
    expect(pteWrite(m.pte(0))).toBe(false);
  });

  it("long-term pins hold all pages or none", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    const pages = m.run(pinUserPages(m.k, m.t, BASE, 4));
    if (typeof pages === "number") throw new Error(`pin: ${pages}`);

    expect(pages.map((page) => m.k.pages.pincount(page))).toEqual([1, 1, 1, 1]);
    expect(m.run(pinUserPages(m.k, m.t, BASE, 5))).toBe(-EFAULT);
    expect(pages.map((page) => m.k.pages.pincount(page))).toEqual([1, 1, 1, 1]);
    m.run(unpinUserPages(m.k, pages));
    expect(pages.map((page) => m.k.pages.refcount(page))).toEqual([1, 1, 1, 1]);
  });

  it("FOLL_FORCE never writes to a shared file", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4, prot: "r", shared: true, file: m.disk(4) });

    expect(m.gup(0, { write: true, force: true })).toBe(-EFAULT);
    expect(m.gup(0, {})).toBe(m.pfn(0));
  });

  it("a read pin unshares: a page that a child shares is copied first, read-only", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0, 5);
    const child = m.fork();
    const before = m.pfn(0);

    const page = m.gup(0, { pin: true });

    expect(page).not.toBe(before);
    expect(m.pfn(0)).toBe(page);
    expect(pteWrite(m.pte(0))).toBe(false);
    expect(m.k.pages.pincount(page)).toBe(1);
    expect(m.read(0, child)).toBe(5);
    expect(m.told(() => m.write(0))).toEqual(["gain 0..1"]);
  });

  it("a long-term write pin of a shared file with write notification is refused", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4, shared: true, file: m.disk(4) });

    expect(m.gup(0, { write: true, pin: true, longterm: true })).toBe(-EFAULT);
    expect(m.gup(0, { write: true, pin: true })).toBeGreaterThan(0);
  });

  it("there is nothing to get in a hole", () => {
    const m = new FaultMachine("v6.12", "x86-64");

    expect(m.gup(0, {})).toBe(-EFAULT);
  });
});

describe("entries that are present to software only", () => {
  it("a NUMA hint is mapped again without a notification, writable if the page is exclusive", () => {
    const hinted = (profile: string): boolean => {
      const m = new FaultMachine(profile, "arm64");
      m.map({ start: 0, pages: 4 });
      m.write(0, 5);
      m.setPte(0, m.k.pte.modify(m.pte(0), PTE_PROTNONE));
      expect(m.pte(0) & PTE_VALID).toBe(0);

      expect(m.told(() => m.read(0)).filter((what) => what.startsWith("start"))).toEqual([]);
      return pteWrite(m.pte(0));
    };

    expect(hinted("v6.12")).toBe(true);
    expect(hinted("v6.1")).toBe(false);
  });

  it("a device's exclusive page comes back in a range: EXCLUSIVE up to v6.14, CLEAR since", () => {
    const touched = (profile: string): string[] => {
      const m = new FaultMachine(profile, "x86-64");
      m.map({ start: 0, pages: 4 });
      m.write(0, 5);
      const pfn = m.pfn(0);
      m.setPte(0, mkSwp(SWP_DEVICE_EXCLUSIVE_WRITE, pfn));

      const told = m.told(() => expect(m.read(0)).toBe(5));

      expect(m.pfn(0)).toBe(pfn);
      expect(pteWrite(m.pte(0))).toBe(true);
      return told;
    };

    expect(touched("v6.12")).toEqual(["start EXCLUSIVE 0..1", "end EXCLUSIVE 0..1"]);
    expect(touched("v7.3")).toEqual(["start CLEAR 0..1", "end CLEAR 0..1"]);
  });
});

describe("the huge zero page", () => {
  it.each(["v6.12", "v6.18"])("%s: GUP reads it as the zeroes that it is", (profile) => {
    const m = new FaultMachine(profile, "x86-64");
    m.map({ start: 0, pages: 512 });
    m.advise(0, VM_HUGEPAGE);

    expect(m.read(7)).toBe(0);
    expect(m.k.tables.levelOf(m.ptep(7))).toBe(1);
    expect(m.gup(7, {})).toBe(m.pfn(7));
  });
});

describe("memory that only a device can reach", () => {
  it("is moved back by its driver, in a range with the driver as owner", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0, 5);
    m.poke(() => {
      m.k.pages.mark(m.pfn(0), PG_DEVICE);
      m.k.pages.setPrivate(m.pfn(0), 42);
    });
    const device = m.pfn(0);
    m.setPte(0, mkSwp(SWP_DEVICE_WRITE, device));

    expect(m.told(() => expect(m.read(0)).toBe(5))).toEqual(["start MIGRATE 0..1", "end MIGRATE 0..1"]);
    expect(m.pfn(0)).not.toBe(device);
    expect(pteWrite(m.pte(0))).toBe(true);
  });
});

describe("a page on its way to another frame", () => {
  it("keeps the fault waiting until it has arrived", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    m.write(0, 5);
    const present = m.pte(0);
    m.setPte(0, mkSwp(SWP_MIGRATION_WRITE, m.pfn(0)));
    m.k.scheduler.spawn("migration", function* () {
      yield step("remove_migration_pte", () => {
        m.setPte(0, present);
        return 0;
      });
    });

    expect(m.read(0)).toBe(5);
  });
});

describe("the zero page", () => {
  it("is one frame for all pages, and reading never gives memory", () => {
    const m = new FaultMachine("v6.12", "x86-64");
    m.map({ start: 0, pages: 4 });
    const before = m.k.pages.segment.live;

    expect([m.read(0), m.read(1), m.read(2)]).toEqual([0, 0, 0]);
    expect(m.k.pages.segment.live).toBe(before);
    expect(m.pfn(0)).toBe(m.k.pages.zeroPfn);
    expect(pteNone(m.pte(3))).toBe(true);
  });
});

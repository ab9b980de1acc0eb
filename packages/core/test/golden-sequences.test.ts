import { phases } from "@mmu-notifier/bus";
import {
  ENOMEM,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  mmput,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  sysFork,
  sysFsync,
  sysMadvise,
  sysProcessMrelease,
} from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { VmaMachine } from "./vma-machine.js";

// Every row of the golden sequences (kernel-mm.md §9) on every generation, event by event. S and E are start and end of a range, F a
// flush of the CPUs, X the event-less hook as the kernel calls it (what range_end calls by itself is part of E), C change_pte, Y the
// aging call, R release. What recorded kernels do differently is as recorded: arm64 flushes at the end of a VMA, before the range ends.

/** Before the patch, the patch as written, and with the secondary-TLB hook in the architecture's flushes. */
const G1 = "v6.4";
const G2 = "v6.4+upgrade-event";
const G3 = "v6.12";

const ARM = "arm64";
const HAFDBS = "arm64-hafdbs";
const X86 = "x86-64";

/** One row: what leads there, the part that is listened to, and what the three generations do. */
interface Golden {
  readonly name: string;
  readonly arch: typeof ARM | typeof HAFDBS | typeof X86;
  /** Prepares the machine; what it returns is what is listened to. */
  readonly scene: (m: VmaMachine) => () => unknown;
  readonly g1: readonly string[];
  /** Absent: the patch adds nothing. */
  readonly g2?: readonly string[];
  readonly g3: readonly string[];
}

const window = (range: string, event: string, ...inside: readonly string[]): string[] => [
  `S ${range} ${event}`,
  ...inside,
  `E ${range} ${event}`,
];
/** A copy on write, told under the lock: the end needs no hook. */
const copied = (range: string): string[] => [
  `S ${range} CLEAR`,
  `F ${range}`,
  `X ${range}`,
  `C ${range}`,
  `E ${range} CLEAR only`,
];
const copiedSince = (range: string): string[] => window(range, "CLEAR", `F ${range}`, `X ${range}`);
const UPGRADED = ["S 0-1 PROTECTION_UPGRADE", "E 0-1 PROTECTION_UPGRADE"];

function written(m: VmaMachine, pages: number): void {
  m.anon(0, pages);
  m.writeAll(0, pages);
  // A mapping far away keeps the upper page tables alive, as a real process's would.
  m.anon(3072, 1);
  m.write(3072);
}

const fork = (m: VmaMachine): number => m.run(sysFork(m.k, m.t));
const reap = (m: VmaMachine, child: number): void => m.run(mmput(m.k, { cpu: 0, mm: child }));
const advise = (m: VmaMachine, page: number, pages: number, advice: number) =>
  m.run(sysMadvise(m.k, m.t, m.at(page), pages * PAGE_SIZE, advice));

function shared(m: VmaMachine, file: number): () => unknown {
  m.file(file, 0, 4);
  m.read(0);
  return () => m.write(0);
}

const ROWS: readonly Golden[] = [
  {
    name: "first anonymous write",
    arch: ARM,
    scene: (m) => {
      m.anon(0, 4);
      return () => m.write(0);
    },
    g1: [],
    g3: [],
  },
  ...([ARM, X86] as const).map((arch): Golden => ({
    name: "anonymous read, then write: the zero page is replaced",
    arch,
    scene: (m) => {
      m.anon(0, 4);
      m.read(0);
      return () => m.write(0);
    },
    g1: copied("0-1"),
    g3: copiedSince("0-1"),
  })),
  {
    name: "fork",
    arch: ARM,
    scene: (m) => {
      written(m, 3);
      return () => fork(m);
    },
    g1: [...window("0-3", "PROTECTION_PAGE"), ...window("3072-3073", "PROTECTION_PAGE"), "F all"],
    g3: [...window("0-3", "PROTECTION_PAGE"), ...window("3072-3073", "PROTECTION_PAGE"), "F all", "X all"],
  },
  {
    name: "write after fork, the child is alive",
    arch: ARM,
    scene: (m) => {
      written(m, 1);
      fork(m);
      return () => m.write(0);
    },
    g1: copied("0-1"),
    g3: copiedSince("0-1"),
  },
  {
    name: "write after fork, the child has gone: reuse (Q1)",
    arch: ARM,
    scene: (m) => {
      written(m, 1);
      reap(m, fork(m));
      return () => m.write(0);
    },
    g1: ["F 0-1"],
    g3: ["F 0-1", "X 0-1"],
  },
  {
    name: "the same where a write needs no flush",
    arch: X86,
    scene: (m) => {
      written(m, 1);
      reap(m, fork(m));
      return () => m.write(0);
    },
    g1: [],
    g3: [],
  },
  {
    name: "shmem that was read is written, no hardware dirty bit",
    arch: ARM,
    scene: (m) => shared(m, m.shmem(4)),
    g1: ["F 0-1"],
    g2: ["F 0-1", ...UPGRADED],
    g3: ["F 0-1", "X 0-1"],
  },
  {
    name: "the same with hardware dirty bits",
    arch: HAFDBS,
    scene: (m) => shared(m, m.shmem(4)),
    g1: [],
    g3: [],
  },
  {
    name: "a shared page of a disk file: read, then written (Q1)",
    arch: ARM,
    scene: (m) => shared(m, m.disk(4)),
    g1: ["F 0-1"],
    g3: ["F 0-1", "X 0-1"],
  },
  {
    name: "writeback of that page",
    arch: ARM,
    scene: (m) => {
      const file = m.disk(4);
      shared(m, file)();
      return () => m.run(sysFsync(m.k, m.t, file));
    },
    g1: window("0-1", "PROTECTION_PAGE", "F 0-1"),
    g3: window("0-1", "PROTECTION_PAGE", "F 0-1", "X 0-1"),
  },
  ...([ARM, X86] as const).flatMap((arch): Golden[] => [
    {
      name: "mprotect of three pages to read-only",
      arch,
      scene: (m) => {
        written(m, 3);
        return () => m.run(m.protect(0, 3, "r"));
      },
      g1: [...window("0-3", "PROTECTION_VMA"), "F 0-3", "X 0-3"],
      g3: [...window("0-3", "PROTECTION_VMA"), "F 0-3", "X 0-3"],
    },
    {
      name: "mprotect back to read-write: exclusive pages are writable in place",
      arch,
      scene: (m) => {
        written(m, 3);
        m.run(m.protect(0, 3, "r"));
        return () => m.run(m.protect(0, 3, "rw"));
      },
      g1: [...window("0-3", "PROTECTION_VMA"), "F 0-3", "X 0-3"],
      g3: [...window("0-3", "PROTECTION_VMA"), "F 0-3", "X 0-3"],
    },
  ]),
  {
    name: "mprotect to the same rights",
    arch: ARM,
    scene: (m) => {
      written(m, 3);
      return () => m.run(m.protect(0, 3, "rw"));
    },
    g1: [],
    g3: [],
  },
  {
    name: "mprotect over nothing that is populated",
    arch: ARM,
    scene: (m) => {
      m.anon(0, 8);
      return () => m.run(m.protect(0, 8, "r"));
    },
    g1: [],
    g3: [],
  },
  {
    name: "MADV_DONTNEED",
    arch: X86,
    scene: (m) => {
      written(m, 3);
      return () => advise(m, 0, 3, MADV_DONTNEED);
    },
    g1: [...window("0-3", "CLEAR"), "F 0-3", "X 0-3"],
    g3: [...window("0-3", "CLEAR"), "F 0-3", "X 0-3"],
  },
  {
    name: "MADV_DONTNEED, flushed at the end of the VMA",
    arch: ARM,
    scene: (m) => {
      written(m, 3);
      return () => advise(m, 0, 3, MADV_DONTNEED);
    },
    g1: window("0-3", "CLEAR", "F 0-3", "X 0-3"),
    g3: window("0-3", "CLEAR", "F 0-3", "X 0-3"),
  },
  {
    name: "munmap of two VMAs with a hole",
    arch: X86,
    scene: (m) => {
      written(m, 2);
      m.anon(6, 2);
      m.writeAll(6, 2);
      return () => m.run(m.unmap(0, 8));
    },
    g1: [...window("0-8", "UNMAP"), "F 0-8", "X 0-8"],
    g3: [...window("0-8", "UNMAP"), "F 0-8", "X 0-8"],
  },
  {
    name: "mremap moves two pages",
    arch: ARM,
    scene: (m) => {
      written(m, 2);
      return () => m.run(m.remap(0, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 100));
    },
    g1: [...window("0-2", "UNMAP", "F 0-2"), ...window("0-2", "UNMAP")],
    g3: [...window("0-2", "UNMAP", "F 0-2", "X 0-2"), ...window("0-2", "UNMAP")],
  },
  {
    name: "munmap of a part of a huge page: the split is not told up to v6.5",
    arch: ARM,
    scene: (m) => {
      m.anon(512, 512);
      advise(m, 512, 512, MADV_HUGEPAGE);
      m.write(512);
      return () => m.run(m.unmap(512, 256));
    },
    g1: [
      ...["S 512-1024 CLEAR", "F 512-1024", "E 512-1024 CLEAR only"],
      ...window("512-768", "UNMAP", "F 512-768", "X 512-768"),
    ],
    g3: [
      ...window("512-1024", "CLEAR", "F 512-1024", "X 512-1024"),
      ...window("512-768", "UNMAP", "F 512-768", "X 512-768"),
    ],
  },
  {
    name: "swap-out: the flush of an mm that another CPU uses is put off",
    arch: X86,
    scene: (m) => {
      written(m, 1);
      m.k.mms.setCpumask(m.t.mm, 0b11);
      return () => advise(m, 0, 1, MADV_PAGEOUT);
    },
    // The last two are the gather of the madvise walk, which made the entry old.
    g1: ["Y 0-1", ...window("0-1", "CLEAR", "X 0-1"), "F all", "F 0-1", "X 0-1"],
    g3: [...window("0-1", "CLEAR", "X all"), "F all"],
  },
  {
    name: "swap-out: a batch waits for its flushes together since v6.6",
    arch: ARM,
    scene: (m) => {
      written(m, 1);
      return () => advise(m, 0, 1, MADV_PAGEOUT);
    },
    g1: ["Y 0-1", ...window("0-1", "CLEAR", "F 0-1", "X 0-1"), "F 0-1", "X 0-1"],
    g3: window("0-1", "CLEAR", "F 0-1", "X 0-1"),
  },
  {
    name: "exit: release first, then one range for everything",
    arch: ARM,
    scene: (m) => {
      written(m, 1);
      return () => m.run(mmput(m.k, m.t));
    },
    g1: ["R all", ...window("all", "UNMAP"), "F all", "X 0-max"],
    g3: ["R all", ...window("all", "UNMAP"), "F all", "X all"],
  },
  {
    name: "a hugetlb mapping that is refused: what its mmap method may have mapped is undone",
    arch: X86,
    scene: (m) => {
      const file = m.hugetlbFile(512 * 65);
      return () => expect(m.run(m.mapFile(file, 512, 512 * 65))).toBe(-ENOMEM);
    },
    g1: [...window("512-33792", "UNMAP"), "F 0-1", "X 0-1"],
    g3: [...window("512-33792", "UNMAP"), "F 0-1", "X 0-1"],
  },
];

describe.each(ROWS)("$name ($arch)", ({ arch, scene, g1, g2 = g1, g3 }) => {
  it.each([
    [G1, g1],
    [G2, g2],
    [G3, g3],
  ])("%s", (profile, expected) => {
    const m = new VmaMachine(profile, arch, { cpus: 2 });
    const act = scene(m);

    expect(m.heard(act)).toEqual(expected);
  });
});

describe("the OOM reaper and a subscriber that never waits, as nouveau does", () => {
  it.each([G1, G2, G3])("%s: the range is refused and has no end, and the interval's window stays open", (profile) => {
    const m = new VmaMachine(profile, X86);
    const { bus } = m.k;
    written(m, 1);
    const interval = bus.allocInterval(
      bus.defineIntervalOps({
        name: "mirror",
        *invalidate(self, _range, sequence) {
          yield* bus.intervalSetSeq(self, sequence);
          return true;
        },
      }),
    );
    m.run(bus.intervalInsert(interval, m.t.mm, m.at(0), PAGE_SIZE));
    bus
      .notifications(m.t.mm)
      .named("nouveau")
      .pipe(phases("start"))
      .subscribe((n) => {
        if (!n.blockable) n.refuse();
      });

    expect(m.heard(() => m.run(sysProcessMrelease(m.k, m.t)))).toEqual(["S 0-1 UNMAP", "S 3072-3073 UNMAP"]);
    expect(m.state(0)).toBe("rw");
    expect(() => m.run(bus.intervalReadBegin(interval))).toThrow(/deadlock/i);
  });
});

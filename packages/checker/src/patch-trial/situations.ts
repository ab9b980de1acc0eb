import { pinUserPages, ptePresent, swpOffset } from "@mmu-notifier/core";
import { ARENA_PAGE, type ScriptSession } from "@mmu-notifier/script";
import { step, waitFor } from "@mmu-notifier/steps";
import { deviceAccesses, type Operation, operation, THROUGH } from "../machine-model/operation.js";
import type { MachineThread } from "../machine-model/thread-task.js";
import type { Scenario } from "../scenarios/scenario.js";

const CPU_THEN_DEVICE = "thread cpu {\nwrite 0\n}\nthread device {\ndev dev0 write 0\n}\n";
const CLEAN_FILE = "memfd f 2\nmap 0 1 rw- s f\nread 0\n";
const CLEAN_DAX = "dax f 4\nmap 0 1 rw- s f\nread 0\n";
const DEVICE_HAS_IT = "dev dev0 read 0\n";
const SHARED_HUGE = "map 0 4 rw- p huge\nwrite 0\nfork\n";

/** Something that ends at once, or when its condition holds. */
const moment = (text: string, attempt: Operation["attempt"]): Operation => ({ text, attempt });

/**
 * A page that is in the swap cache and that somebody looks at (a batch of the LRU lists holds it for a moment): swap-in finds that
 * it is not alone and maps it read-only; by the time do_wp_page() looks it is alone. The device looks once the page is mapped.
 */
function lruBatch({ machine: { kernel }, devices, mm, process }: ScriptSession): readonly MachineThread[] {
  const ptep = kernel.tables.leaf(kernel.mms.pgd(mm), ARENA_PAGE);
  const page = kernel.swap.cached(swpOffset(kernel.tables.get(ptep)));
  kernel.pages.get(page);
  return [
    {
      name: "batch",
      operations: [
        moment("lru_add_drain", function* () {
          yield step("folio_put", () => (kernel.pages.put(page), 0));
          return THROUGH;
        }),
      ],
    },
    {
      name: "device",
      operations: [
        moment("the page is mapped", function* () {
          yield waitFor("the page is mapped", () => ptePresent(kernel.tables.get(ptep)));
          return THROUGH;
        }),
        deviceAccesses(devices.get("dev0")!, process, "dev dev0 read 0", [
          { vpn: ARENA_PAGE, access: "read", value: 0 },
        ]),
      ],
    },
  ];
}

/** A long-term pin for reading: FAULT_FLAG_UNSHARE makes the page the process's own and leaves the entry read-only. */
function readPin({ machine: { kernel }, process }: ScriptSession): readonly MachineThread[] {
  return [
    {
      name: "pin",
      operations: [
        operation("a long-term pin for reading", () => pinUserPages(kernel, process.thread, ARENA_PAGE, 1, false)),
      ],
    },
  ];
}

/** Situations that the questions about the patch are asked in, beside the scenarios that every driver is put through. */
const ALL = {
  hugeClean: {
    id: "P2",
    title: "X1a for a huge page of shared memory, whose entry huge_pmd_set_accessed() makes dirty",
    script: `memfd f 4\nmap 0 4 rw- s f\nread 0\n${DEVICE_HAS_IT}${CPU_THEN_DEVICE}`,
    config: { shmemThp: "always" },
    upgrade: "touchPmd",
  },
  hugeDax: {
    id: "P2a",
    title: "X1d for a huge page of a DAX file: insert_pfn_pmd()",
    script: `dax f 4\nmap 0 4 rw- s f\nread 0\n${DEVICE_HAS_IT}${CPU_THEN_DEVICE}`,
    upgrade: "insertPfnPmd",
  },
  swapIn: {
    id: "P3",
    title:
      "a write brings a page in from swap, read-only at first because somebody else looks at it, and reuses it at once",
    script: `map 0 1 rw- p anon\nwrite 0\nadvise 0 1 pageout\nfork\ncread 0 0\nreap 0\nthread cpu {\nwrite 0\n}\ndev dev0 write 0\n`,
    config: { cpus: 2 },
    threads: lruBatch,
    upgrade: "doSwapPage",
  },
  copied: {
    id: "P4",
    title: "a child that has notifiers copies a page without a struct page, whose entry it has not used yet",
    script: "dax f 4\nmap 0 2 rw- p f\nread 0\nwrite 1\nfork\nckvm 0\nthread cpu {\ncwrite 0 0\n}\n",
    arch: "arm64",
  },
  hugeCopy: {
    id: "P6",
    title: "a huge page of hugetlb that a child shares is copied on write",
    script: `${SHARED_HUGE}thread cpu {\nwrite 0\n}\n`,
  },
  hugePin: {
    id: "P6a",
    title: "a huge page of hugetlb is pinned for reading, which unshares it and leaves it read-only",
    script: `${SHARED_HUGE}reap 0\nthread cpu {\nread 0\n}\n`,
    threads: readPin,
  },
  hugeGone: {
    id: "P7",
    title: "a huge page of hugetlb becomes writable while another thread lets go of it, on CPUs with TLBs",
    script: `${SHARED_HUGE}reap 0\nthread cpu {\nwrite 0\n}\nthread other {\nadvise 0 4 dontneed\n}\n`,
    config: { cpus: 2, cpuTlbEntries: 2 },
    arch: "sparc64",
  },
  oldPage: {
    id: "P8",
    title: "a page that was made old is read",
    script: "map 0 1 rw- p anon\nwrite 0\nadvise 0 1 cold\nthread cpu {\nread 0\n}\n",
    arch: "arm64",
  },
  twoWriters: {
    id: "P8a",
    title: "two CPUs write a clean page at the same time",
    script: `${CLEAN_FILE}thread cpu {\nwrite 0\n}\nthread other {\nwrite 0\n}\n`,
    config: { cpus: 2 },
    arch: "riscv64",
  },
  mirrored: {
    id: "P9",
    title: "the CPU writes a clean page that the device reads all the time",
    script: `${CLEAN_FILE}${DEVICE_HAS_IT}thread cpu {\nwrite 0\n}\nthread device {\ndev dev0 read 0\n}\n`,
  },
  ownWrite: {
    id: "P10",
    title: "it is the device's own write that makes a page of a DAX file writable",
    script: `${CLEAN_DAX}${DEVICE_HAS_IT}thread device {\ndev dev0 write 0\n}\n`,
  },
  ownRead: {
    id: "P10a",
    title: "the device reads a page for the first time that the CPU has mapped",
    script: `${CLEAN_FILE}thread device {\ndev dev0 read 0\n}\n`,
  },
  gone: {
    id: "P13",
    title: "the device's own write makes a page dirty, and the page is gone when that is announced",
    script: `${CLEAN_FILE}${DEVICE_HAS_IT}thread cpu {\nadvise 0 1 dontneed\n}\nthread device {\ndev dev0 write 0\n}\n`,
    upgrade: "handlePteFault",
  },
  cleaned: {
    id: "P13a",
    title: "writeback cleans a page of a DAX file between its upgrade and the event",
    script: `${CLEAN_DAX}${DEVICE_HAS_IT}thread cpu {\nwrite 0\n}\nthread other {\nmsync 0 1 sync\ndev dev0 read 0\n}\n`,
  },
  mprotected: {
    id: "P15",
    title: "mprotect() gives the right to write back while the device has the page read-only",
    script: `map 0 1 rw- p anon\nwrite 0\nprotect 0 1 r--\n${DEVICE_HAS_IT}thread cpu {\nprotect 0 1 rw-\nwrite 0\n}\nthread device {\ndev dev0 write 0\n}\n`,
  },
} as const satisfies Readonly<Record<string, Scenario>>;

export const SITUATIONS: Readonly<Record<keyof typeof ALL, Scenario>> = ALL;

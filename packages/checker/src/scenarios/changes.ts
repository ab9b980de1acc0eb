import { PAGE_SIZE } from "@mmu-notifier/core";
import { ARENA_PAGE, type ScriptSession } from "@mmu-notifier/script";
import { operation } from "../machine-model/operation.js";
import type { MachineThread } from "../machine-model/thread-task.js";
import type { Scenario } from "./scenario.js";

/** One CPU that does this while the device accesses that. */
const against = (cpu: string, device: string): string => `thread cpu {\n${cpu}\n}\nthread device {\n${device}\n}\n`;

const ONE_PAGE = "map 0 1 rw- p anon\nwrite 0\n";
const FOUR_PAGES = "map 0 4 rw- p anon\nwrite 0 4\n";

/** Start and end of a notification of pages that nobody changes: a call may promise more than it does. */
function window({ machine, mm }: ScriptSession, first: number, end: number): MachineThread {
  const { bus } = machine.kernel;
  return {
    name: "window",
    operations: [
      operation(`start and end of pages ${first} to ${end - 1}`, function* () {
        const range = {
          mm,
          start: (ARENA_PAGE + first) * PAGE_SIZE,
          end: (ARENA_PAGE + end) * PAGE_SIZE,
          event: "MMU_NOTIFY_CLEAR",
        } as const;
        yield* bus.invalidateRangeStart(range);
        yield* bus.invalidateRangeEnd(range);
      }),
    ],
  };
}

/** Pages and rights that are taken away while the device has them. */
export const CHANGES: readonly Scenario[] = [
  {
    id: "X4",
    title: "fork takes the right to write away while the device has it; the child relies on it",
    script: `map 0 1 rw- p anon\ndev dev0 write 0\n${against("fork\ncwrite 0 0", "dev dev0 write 0")}`,
    upgrade: "wpPageReuse",
  },
  {
    id: "X4a",
    title: "fork, and the parent's write makes a copy while the device reads",
    script: `${ONE_PAGE}dev dev0 write 0\nfork\ndev dev0 read 0\n${against("write 0", "dev dev0 read 0\ndev dev0 write 0")}`,
  },
  {
    id: "X4b",
    title: "after a fork the device's own write makes the copy, while the child writes",
    script: `${ONE_PAGE}fork\ndev dev0 read 0\n${against("cwrite 0 0", "dev dev0 write 0\ndev dev0 read 0")}`,
    mayUpgrade: "wpPageReuse",
  },
  {
    id: "X5",
    title: "a fault of the device is resolved while the page goes away and comes back",
    script: `${ONE_PAGE}${against("advise 0 1 dontneed", "dev dev0 read 0")}`,
  },
  {
    id: "X5a",
    title: "a fault of the device is resolved while the page is unmapped for good",
    script: `${ONE_PAGE}${against("unmap 0 1", "dev dev0 write 0")}`,
  },
  {
    id: "X5b",
    title: "a write fault of the device is resolved while mprotect takes the right away",
    script: `${ONE_PAGE}${against("protect 0 1 r--", "dev dev0 write 0")}`,
  },
  {
    id: "X6",
    title: "a walk of the device reads an entry, and caches it after the entry was changed and invalidated",
    script: `${ONE_PAGE}${against("unmap 0 1", "dev dev0 read 0\ndev dev0 read 0")}`,
  },
  {
    id: "X7",
    title: "two invalidations of the same page overlap, and the one that began first ends last",
    script: `map 0 2 rw- p anon\nwrite 1\n${against("unmap 1 1", "dev dev0 read 1")}`,
    threads: (session) => [window(session, 0, 2)],
  },
  {
    id: "X7a",
    title: "two pages are invalidated at once, the lower one last",
    script: `map 0 4 rw- p anon\nwrite 3\n${against("advise 3 1 dontneed", "dev dev0 read 3")}`,
    threads: (session) => [window(session, 0, 1)],
  },
  {
    id: "X9",
    title: "the address space goes away while the device accesses it",
    script: `${ONE_PAGE}dev dev0 write 0\n${against("exit", "dev dev0 write 0\ndev dev0 read 0")}`,
  },
  {
    id: "X16",
    title: "two pages in the middle of what the device has cached are unmapped",
    script: `${FOUR_PAGES}dev dev0 write 0 4\n${against("unmap 1 2", "dev dev0 write 1 2")}`,
  },
  {
    id: "X16a",
    title: "the first and the last page of what the device has cached lose the right to write",
    script: `${FOUR_PAGES}dev dev0 write 0 4\n${against("protect 0 1 r--\nprotect 3 1 r--", "dev dev0 write 3\ndev dev0 write 0")}`,
  },
  {
    id: "X17",
    title: "one page of a huge page that the device has cached is unmapped",
    script: `map 0 4 rw- p anon\nadvise 0 4 hugepage\nwrite 0\ndev dev0 write 0\n${against("unmap 2 1", "dev dev0 write 2\ndev dev0 write 3")}`,
    mayUpgrade: "handlePteFault",
  },
  {
    id: "X17a",
    title: "a huge page that the device has cached loses the right to write in its middle",
    script: `map 0 4 rw- p anon\nadvise 0 4 hugepage\nwrite 0\ndev dev0 write 1\n${against("protect 1 2 r--", "dev dev0 write 2")}`,
  },
  {
    id: "X18",
    title: "pages move to another address while the device uses the old one",
    script: `map 0 1 rw- p anon\nwrite 0\ndev dev0 write 0\n${against("remap 0 1 1 fixed 4", "dev dev0 write 0")}`,
    arena: 8,
  },
  {
    id: "X19",
    title: "a page moves to another node while the device writes it",
    script: `${ONE_PAGE}dev dev0 write 0\n${against("movepages 0 1 1", "dev dev0 write 0\ndev dev0 read 0")}`,
    config: { nodes: 2 },
  },
  {
    id: "X20",
    title: "a page is swapped out while the device writes it",
    script: `${ONE_PAGE}dev dev0 write 0\n${against("advise 0 1 pageout", "dev dev0 write 0\ndev dev0 read 0")}`,
  },
  {
    id: "X21",
    title: "writeback takes the right to write from a file's page while the device writes it",
    script: `file f 2 fill\nmap 0 1 rw- s f\nwrite 0\ndev dev0 write 0\n${against("msync 0 1 sync", "dev dev0 write 0")}`,
    upgrade: "wpPageReuse",
  },
  {
    id: "X22",
    title: "a file is cut short while the device reads its page",
    script: `memfd f 2\nmap 0 2 rw- s f\nwrite 0 2\ndev dev0 read 0 2\n${against("ftrunc f 1", "dev dev0 read 1\ndev dev0 read 0")}`,
  },
  {
    id: "X23",
    title: "two pages of the same content are merged while the device writes one of them",
    script: `map 0 2 rw- p anon\nadvise 0 2 mergeable\nwrite 0 2 7\ndev dev0 write 1 1 7\n${against("ksmrun", "dev dev0 write 1")}`,
  },
  {
    id: "X24",
    title: "a mapping is replaced by another while the device uses the old one",
    script: `${ONE_PAGE}dev dev0 write 0\n${against("map 0 1 rw- p anon\nwrite 0", "dev dev0 read 0\ndev dev0 read 0")}`,
  },
  {
    id: "X25",
    title: "page tables are freed while the device walks them",
    script: `map 0 4 rw- p anon\nwrite 0 4\ndev dev0 read 0\n${against("unmap 0 4\nmap 0 4 rw- p anon\nwrite 1", "dev dev0 read 1\ndev dev0 read 0")}`,
  },
  {
    id: "X26",
    title: "a child copies a page without a struct page, whose entry it has not used yet",
    script: `dax f 4\nmap 0 2 rw- p f\nread 0\nwrite 1\nfork\n${against("cwrite 0 0", "dev dev0 read 0")}`,
    sleeps: "wpPageCopyUser",
  },
];

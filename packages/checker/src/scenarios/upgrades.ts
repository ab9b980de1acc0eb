import type { Scenario } from "./scenario.js";

/** A page of an anonymous mapping whose sharer is gone: read-only, and the next write reuses it in place. */
const SHARER_GONE = `
map 0 1 rw- p anon
write 0
fork
reap 0
dev dev0 read 0
`;

/** A clean page of a file: writable to software, read-only to hardware until it is dirty. */
const CLEAN_FILE = `
memfd f 2
map 0 1 rw- s f
read 0
dev dev0 read 0
`;

const CPU_THEN_DEVICE = `
thread cpu {
write 0
}
thread device {
dev dev0 write 0
}
`;

/** Entries that gain the right to write while the device has them cached without it. */
export const UPGRADES: readonly Scenario[] = [
  {
    id: "X1",
    title: "the device has a page read-only, the CPU writes it and reuses it in place, the device writes",
    script: SHARER_GONE + CPU_THEN_DEVICE,
    upgrade: "wpPageReuse",
  },
  {
    id: "X1a",
    title: "X1 for a clean page of shared memory, which becomes dirty",
    script: CLEAN_FILE + CPU_THEN_DEVICE,
    upgrade: "handlePteFault",
  },
  {
    id: "X1b",
    title: "X1 for a page of a file whose first write the file system must know of",
    script: `file f 2 fill\nmap 0 1 rw- s f\nread 0\ndev dev0 read 0\n${CPU_THEN_DEVICE}`,
    upgrade: "wpPageReuse",
  },
  {
    id: "X1c",
    title: "X1 for a huge page that is reused in place",
    script: `map 0 4 rw- p anon\nadvise 0 4 hugepage\nwrite 0\nfork\nreap 0\ndev dev0 read 0\n${CPU_THEN_DEVICE}`,
    upgrade: "doHugePmdWpPage",
  },
  {
    id: "X1d",
    title: "X1 for a page of a DAX file",
    script: `dax f 4\nmap 0 1 rw- s f\nread 0\ndev dev0 read 0\n${CPU_THEN_DEVICE}`,
    upgrade: "insertPfn",
  },
  {
    id: "X2",
    title: "X1, and it is the device's own write fault that makes the page writable",
    script: `${SHARER_GONE}thread device {\ndev dev0 write 0\n}\n`,
    upgrade: "wpPageReuse",
  },
  {
    id: "X2a",
    title: "X2 for a clean page of shared memory",
    script: `${CLEAN_FILE}thread device {\ndev dev0 write 0\n}\n`,
    upgrade: "handlePteFault",
  },
  {
    id: "X3",
    title: "X1a, and the page is unmapped between the upgrade and its notification",
    script: `${CLEAN_FILE}
thread cpu {
write 0
}
thread other {
unmap 0 1
}
thread device {
dev dev0 write 0
}
`,
    upgrade: "handlePteFault",
  },
  {
    id: "X10",
    title: "hardware makes a clean page writable and tells nobody",
    script: CLEAN_FILE + CPU_THEN_DEVICE,
    arch: "arm64-hafdbs",
    upgrade: "handlePteFault",
    silent: true,
  },
  {
    id: "X11",
    title: "X1 for a huge page of hugetlb, as large as the threshold of a flush of the whole address space",
    script: `map 0 512 rw- p huge\nwrite 0\nfork\nreap 0\ndev dev0 read 511\nthread cpu {\nwrite 0\n}\nthread device {\ndev dev0 write 511\n}\n`,
    arena: 512,
    bits: [9, 1],
    upgrade: "hugetlbFault",
  },
  {
    id: "X12",
    title: "X1 on a host whose flush on upgrade stays on the local CPU",
    script: SHARER_GONE + CPU_THEN_DEVICE,
    upgrade: "wpPageReuse",
    skips: (host) =>
      host.broadcast("upgrade") === "local" ? undefined : `the host's flush on upgrade is ${host.broadcast("upgrade")}`,
  },
];

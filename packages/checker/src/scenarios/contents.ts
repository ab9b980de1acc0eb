import type { Scenario } from "./scenario.js";

/** What becomes of what is written and read while pages change their frames and rights: data, dirtiness, order. */
export const CONTENTS: readonly Scenario[] = [
  {
    id: "X27",
    title: "MADV_FREE makes a page clean while the device writes it",
    script: `map 0 1 rw- p anon
write 0
dev dev0 write 0
thread cpu {
advise 0 1 free
}
thread device {
dev dev0 write 0
}
`,
  },
  {
    id: "X28",
    title: "the CPU writes a page that is copied for it, then another; the device sees the second and reads the first",
    script: `map 0 2 rw- p anon
write 0
fork
write 1
dev dev0 read 0
thread cpu {
write 0
write 1
}
thread device {
dev dev0 read 1
dev dev0 read 0
}
`,
  },
];

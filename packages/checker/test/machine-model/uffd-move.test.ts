import { ARENA_PAGE, parseScripts } from "@mmu-notifier/script";
import { expect, it } from "vitest";
import { checkScript } from "../../src/index.js";

it("splits a large folio for UFFDIO_MOVE while another thread takes its pages away", () => {
  const [script] = parseScripts(
    `== move-large arena 8
map 0 8 rw- p anon
advise 0 8 hugepage
write 4
protect 4 1 r--
protect 4 1 rw-
uffd sync
uffdreg 0 4 missing
thread mover {
  uffdmove 0 4 1
}
thread other {
  advise 4 4 dontneed
}
`,
    { file: "move-large.mm" },
  );

  const { exploration } = checkScript(script!, {
    kernel: "v6.12",
    geometry: { bits: [2, 2], first: ARENA_PAGE },
    config: { cpus: 2 },
  });

  expect(exploration).toMatchObject({ complete: true, findings: [] });
});

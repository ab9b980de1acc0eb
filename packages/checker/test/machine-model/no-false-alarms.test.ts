import { parseScripts } from "@mmu-notifier/script";
import { expect, test } from "vitest";
import { explore, scriptModel } from "../../src/index.js";
import { registry } from "../flawed-smmu.js";

/** Situations that look like a broken rule for a moment, under the lock of an entry or beside that of another. */
test.each([
  [
    "an entry that is made old is none for a moment",
    "v5.10",
    "map 0 2 rw- p anon\nwrite 0\ndev dev0 read 0",
    "advise 0 1 pageout",
    "dev dev0 read 0",
  ],
  [
    "a frame leaves the swap cache before its entry is set",
    "v6.18",
    "map 0 2 rw- p anon\nwrite 0\ndev dev0 read 0",
    "advise 0 1 pageout",
    "dev dev0 write 0\ndev dev0 write 0",
  ],
  [
    "somebody holds the lock of the table above while an entry is cleared",
    "v6.18",
    "map 0 4 rw- p anon\nadvise 0 4 hugepage\nwrite 0\ndev dev0 read 0",
    "advise 0 1 dontneed\npmwrite 0",
    "dev dev0 read 0",
  ],
  [
    "the device's own write makes the copy while the CPU looks at the entry",
    "v6.12",
    "map 0 2 rw- p anon\nwrite 0\nfork",
    "advise 0 1 cold",
    "dev dev0 write 0",
  ],
])("%s, on %s", (_what, kernel, prelude, cpu, device) => {
  const text = `device dev0 driver npu\n== quiet arena 4\n${prelude}\nthread cpu {\n${cpu}\n}\nthread device {\n${device}\n}\n`;
  const [script] = parseScripts(text, { file: "quiet.mm" });
  const { model, session } = scriptModel(script!, {
    registry,
    kernel,
    arch: "arm64",
    config: { swapSlots: 2 },
    geometry: { bits: [2, 2], first: 2 ** 33 },
  });
  const { bounds, findings } = explore(model);
  session.close();
  expect({ bounds, findings }).toEqual({ bounds: "complete", findings: [] });
});

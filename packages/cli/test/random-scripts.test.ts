import { parseScripts, ScriptSession } from "@mmu-notifier/script";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brokenRuleOf } from "../src/broken-rule.js";
import { shippedRegistry } from "../src/registry.js";

/** Files of every kind, and every shipped driver. */
const HEADER = `== random arena 1200
device smmu driver arm-smmu
device iommu driver iommu-btm ats
device vm driver kvm
file f 8
memfd m 520
hmemfd h 1024
dax d 8
`;

const page = fc.oneof({ weight: 9, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: fc.nat(1200) }).map(String);
const pages = fc.constantFrom("0", "1", "1", "2", "3", "4", "8", "16", "512", "600");
const file = fc.constantFrom("f", "m", "d", "h");
const child = fc.constantFrom("0", "1", "2");
const rights = fc.constantFrom("rw-", "rw-", "r--", "---", "rwx", "r-x", "-w-");
const advice = fc.constantFrom(
  ..."dontneed free hugepage nohugepage pageout cold remove mergeable unmergeable collapse populate_read".split(" "),
  ..."populate_write dontfork wipeonfork guard_install guard_remove willneed".split(" "),
);

/** What each word in capitals of {@link TEMPLATES} becomes. */
const WORDS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  P: page,
  L: pages,
  F: file,
  C: child,
  PROT: rights,
  ADVICE: advice,
  BACK: fc.constantFrom("anon", "anon", "anon", "f", "h", "d", "m", "huge"),
  DEV: fc.constantFrom("smmu", "iommu", "vm"),
};

const TEMPLATES = [
  ..."map P L rw- p BACK;map P L PROT s BACK;map 0 L rw- p BACK;unmap P L;protect P L PROT;remap P L L maymove".split(
    ";",
  ),
  ..."remap P L L fixed P;remap P L L dontunmap;advise P L ADVICE;advise 0 600 hugepage;mlock P L;munlock P L".split(
    ";",
  ),
  ..."mlock2 P L;mseal P L;msync P L sync;clearrefs 1;clearrefs 4;read P;write P;write P;writer P L;readr P L".split(
    ";",
  ),
  ..."pmwrite P;pvread P;kwrite P;fork;fork;cread C P;cwrite C P;cunmap C P L;reap C;ckvm C;cexec C;mrelease C".split(
    ";",
  ),
  ..."ftrunc F L;fpunch F P L;fwrite f P;fsync f;fdrop f;uffd sync;uffd async;uffdreg P L missing,wp".split(";"),
  ..."uffdwp P L on;uffdwp P L off;uffdcopy P;uffdzero P L;uffdmove P P L;uffdunreg P L;pscan P L;pin P L;unpin".split(
    ";",
  ),
  ..."kvmclose;kvmopen;migratevma P L;exclusive P;ksmrun;khuge 10;swapoff;swapon;sync;drop;movepages P L 0".split(";"),
  ..."dev DEV read P;dev DEV write P;dev DEV write P 4".split(";"),
] as const;

const op = fc
  .constantFrom(...TEMPLATES)
  .chain((template) =>
    fc.tuple(...template.split(" ").map((word) => WORDS[word] ?? fc.constant(word))).map((words) => words.join(" ")),
  );

describe("scripts of any ops in any order", () => {
  it("run to their end on every kernel and architecture; the only rule that is broken is the patch's", async () => {
    const registry = await shippedRegistry();
    const where = {
      kernel: fc.constantFrom(...registry.list("kernel-profile").map(({ name }) => name)),
      arch: fc.constantFrom(...registry.list("architecture").map(({ name }) => name)),
    };
    fc.assert(
      fc.property(fc.record(where), fc.array(op, { maxLength: 40 }), ({ kernel, arch }, ops) => {
        const [script] = parseScripts(`${HEADER}${ops.join("\n")}\n`, { file: "random.mm" });
        const session = new ScriptSession(script!, { registry, kernel, arch, detail: true });
        try {
          for (const statement of script!.statements) session.run(statement);
        } catch (error) {
          if (kernel !== "v6.4+upgrade-event" || brokenRuleOf(error)?.code !== "SLEEP_IN_ATOMIC") throw error;
        } finally {
          expect(session.machine.driverErrors).toEqual([]);
          session.close();
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

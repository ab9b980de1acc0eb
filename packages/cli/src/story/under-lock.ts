import type { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts, ScriptSession } from "@mmu-notifier/script";
import { ContextError } from "@mmu-notifier/steps";
import { brokenRuleOf } from "../broken-rule.js";

/**
 * A page without struct page is copied on write: DAX memory in a private mapping. The child's entry is old after the fork, so arm64
 * without a hardware access flag makes it young first, and holds the page-table lock from there to the end of the copy. The write to
 * page 1 gives the mapping an anon_vma; without one fork copies no entries.
 */
const SCRIPT = `== under-lock arena 16
dax f 4
map 0 4 rw- p f
read 0
write 1
fork
cwrite 0 0
`;

/** Whether the patch's fourth call comes under a spinlock, on one kernel. */
export interface UnderLock {
  readonly kernel: string;
  readonly outcome: "written" | "CONTEXT" | "DEADLOCK";
  /** What may sleep, where, and under which lock; absent when all went well. */
  readonly call?: string;
  readonly path?: string;
  readonly lock?: string;
}

/** Runs the copy of a page without struct page on a kernel, on arm64. */
export function copyUnderLock(kernel: string, registry: PluginRegistry): UnderLock {
  const [script] = parseScripts(SCRIPT, { file: "under-lock.mm" });
  const session = new ScriptSession(script!, { kernel, arch: "arm64", registry, snapshots: false });
  try {
    for (const statement of script!.statements) session.run(statement);
    return { kernel, outcome: "written" };
  } catch (error) {
    const broken = brokenRuleOf(error);
    if (broken === undefined) throw error;
    const { call, path, lock } = error instanceof ContextError ? error.details : {};
    return {
      kernel,
      outcome: broken.verdict,
      ...(typeof call === "string" && typeof path === "string" ? { call, path } : {}),
      ...(typeof lock === "string" ? { lock } : {}),
    };
  } finally {
    session.close();
  }
}

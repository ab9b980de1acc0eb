import { type Step, stepAt } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { type Pte, PTE_NX, PTE_USER, PTE_VALID, pteHugeLeaf, pteMkyoung, ptePfn } from "../pte.js";

/** What an instruction does to a page. */
export type Access = "read" | "write" | "exec";

/** Results of {@link cpuAccess} below 0. */
const FAULT_NOT_PRESENT = -1;
const FAULT_PROTECTION = -2;

/**
 * One load, store or instruction fetch of page `vpn` on a CPU, as its hardware does it: TLB, page walk with hardware access and
 * dirty management, and the access itself. A page holds one byte.
 *
 * @param user the instruction runs in user mode (false: copy_to_user() and its kin)
 * @returns the byte that the page holds then, or a negative code for a fault
 */
export function cpuAccess(
  k: Kernel,
  cpu: number,
  mm: number,
  vpn: number,
  access: Access,
  value: number,
  user: boolean,
): Step {
  return stepAt(labelOf(cpu, access), vpn, () => {
    k.mms.setCpumask(mm, k.mms.cpumask(mm) | (1 << cpu));
    const pfn = translate(k, cpu, mm, vpn, access);
    if (pfn > 0) {
      if (access === "write") k.pages.setContent(pfn, value);
      return k.pages.content(pfn);
    }
    if (k.observed) {
      const present = pfn === FAULT_PROTECTION;
      k.emit({ kind: "page-fault", mm, cpu, vpn, write: access === "write", exec: access === "exec", user, present });
    }
    return pfn;
  });
}

const labels: Record<Access, string[]> = { read: [], write: [], exec: [] };

function labelOf(cpu: number, access: Access): string {
  return (labels[access][cpu] ??= `cpu${cpu} ${access}`);
}

/** The frame to access, or a FAULT_ code. */
function translate(k: Kernel, cpu: number, mm: number, vpn: number, access: Access): number {
  const { HA, HD } = k.arch.cpu;
  const asid = k.mms.asid(mm);
  const cached = k.tlbs.entries === 0 ? 0 : k.tlbs.lookup(cpu, asid, vpn);
  if (cached !== 0) {
    if (allows(k, cached, access, true, false) && (access !== "write" || k.pte.hwMkdirty(cached) === cached))
      return ptePfn(cached);
    const dirties = access === "write" && allows(k, cached, access, true, HD);
    if (!dirties && !k.arch.cpuRewalksOnMissingRight)
      return (cached & PTE_VALID) === 0 ? FAULT_NOT_PRESENT : FAULT_PROTECTION;
  }
  const ptep = k.tables.leaf(k.mms.pgd(mm), vpn);
  const pte = ptep === 0 ? 0 : k.tables.get(ptep);
  if ((pte & PTE_VALID) === 0) return FAULT_NOT_PRESENT;
  if (!allows(k, pte, access, HA, HD)) return FAULT_PROTECTION;
  const young = pteMkyoung(pte);
  const walked = access === "write" ? k.pte.hwMkdirty(young) : young;
  if (walked !== pte) k.tables.set(ptep, walked);
  const span = pteHugeLeaf(walked) ? k.tables.span[k.tables.levelOf(ptep)]! : 1;
  if (k.tlbs.entries > 0) k.tlbs.insert(cpu, asid, vpn, walked, span);
  return ptePfn(walked) + (span > 1 ? vpn % span : 0);
}

function allows(k: Kernel, pte: Pte, access: Access, HA: boolean, HD: boolean): boolean {
  if ((pte & PTE_USER) === 0 || !k.pte.hwReadable(pte, HA)) return false;
  if (access === "exec") return (pte & PTE_NX) === 0;
  return access === "read" || k.pte.hwWritable(pte, HD);
}

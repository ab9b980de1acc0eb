import { PTE_LEVEL, ptePfn, ptePresent, pteWrite } from "@mmu-notifier/core";
import { ARENA_PAGE } from "@mmu-notifier/script";
import type { Bench } from "./subject.js";

/**
 * What the device holds and the page table does not grant, in words: nothing, for a driver that keeps its promises. Looks at
 * the machine between two ops, when no invalidation is under way.
 */
export function staleEntries(bench: Bench): readonly string[] {
  const { device, machine, mm } = bench;
  // A pinned page is the device's until it lets go, whatever the page table says meanwhile.
  if (device.binding().declarations.pageTable === "pinned") return [];
  const { mms, tables } = machine.kernel;
  const pgd = mms.isLive(mm) ? mms.pgd(mm) : 0;
  const found: string[] = [];
  for (const { where, vpn: first, pages, pfn, write } of device.entries(bench.session.process)) {
    for (let i = 0; i < pages; i++) {
      const vpn = first + i;
      const ptep = pgd === 0 ? 0 : tables.leaf(pgd, vpn);
      const pte = ptep === 0 ? 0 : tables.get(ptep);
      const inBlock = ptep === 0 || tables.levelOf(ptep) === PTE_LEVEL ? 0 : vpn % tables.hugePages;
      const what = `its ${where} holds page ${vpn - ARENA_PAGE} -> frame ${pfn + i}${write ? ", writable" : ""}`;
      if (!ptePresent(pte)) found.push(`${what}; the page table has no entry there`);
      else if (ptePfn(pte) + inBlock !== pfn + i)
        found.push(`${what}; the page table has frame ${ptePfn(pte) + inBlock}`);
      else if (write && !pteWrite(pte)) found.push(`${what}; the page table's entry is read-only`);
    }
  }
  return found;
}

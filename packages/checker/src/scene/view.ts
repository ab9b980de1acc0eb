import { type Kernel, pteNone, ptePresent, ptePfn, pteWrite } from "@mmu-notifier/core";
import type { BoundDevice } from "@mmu-notifier/sdk";
import type { Oracle } from "./oracle.js";

/** Pages that an oracle knows. */
const PAGES = 16;

/**
 * What a reader of a counterexample sees of a state: for each page that anybody translates, what the page table says, and under
 * it what CPUs and devices have cached. A frame that was freed has a cross.
 */
export function sceneView(
  k: Kernel,
  mms: readonly number[],
  devices: readonly BoundDevice[],
  oracle: Oracle,
): string[] {
  const frame = (pfn: number, write: boolean): string =>
    `frame ${pfn}${k.pages.isLive(pfn) ? "" : " (freed)"} ${write ? "rw" : "r-"}`;
  const pageTable = (mm: number, vpn: number): string => {
    const pte = oracle.pte(mm, vpn);
    if (pteNone(pte)) return "none";
    return ptePresent(pte) ? frame(ptePfn(pte), pteWrite(pte)) : "not present";
  };
  const lines: string[] = [];
  for (const mm of mms) {
    for (let vpn = 0; vpn < PAGES; vpn++) {
      const cached = [...cpuViews(k, mm, vpn, frame), ...deviceViews(mm, vpn, devices, frame)];
      const now = pageTable(mm, vpn);
      if (now === "none" && cached.length === 0) continue;
      lines.push(`${oracle.page(mm, vpn)}: ${[now, ...cached].join("; ")}`);
    }
  }
  return lines;
}

type Frame = (pfn: number, write: boolean) => string;

function cpuViews(k: Kernel, mm: number, vpn: number, frame: Frame): string[] {
  const views: string[] = [];
  for (let cpu = 0; cpu < k.config.cpus; cpu++) {
    const cached = k.tlbs.entries === 0 || !k.mms.isLive(mm) ? 0 : k.tlbs.lookup(cpu, k.mms.asid(mm), vpn);
    if (cached !== 0) views.push(`cpu${cpu} ${frame(ptePfn(cached), k.pte.hwWritable(cached, false))}`);
  }
  return views;
}

function deviceViews(mm: number, vpn: number, devices: readonly BoundDevice[], frame: Frame): string[] {
  const views: string[] = [];
  for (const { binding, context, mm: of } of devices) {
    if (of !== mm) continue;
    for (const entry of binding.entries())
      if (vpn >= entry.vpn && vpn < entry.vpn + entry.pages)
        views.push(`${context.name} ${entry.where} ${frame(entry.pfn + vpn - entry.vpn, entry.write)}`);
  }
  return views;
}

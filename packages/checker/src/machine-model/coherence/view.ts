import { PTE_VALID } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import { type Cached, cachedIn } from "./cached.js";
import type { PageName } from "./coherence.js";
import { Truth } from "./truth.js";

/** Pages of one mm that are shown at most. */
const MOST_PAGES = 6;

/** Each page that is mapped or cached: what the page table says, and below it what each cache says. */
export function viewOf(machine: Machine, page: PageName): readonly string[] {
  const { kernel } = machine;
  const { mms, tables } = kernel;
  const cached = cachedIn(machine);
  const truth = new Truth(kernel);
  const lines: string[] = [];
  for (let mm = 1; mm < mms.segment.used; mm++) {
    if (!mms.isLive(mm)) continue;
    const own = cached.filter((entry) => entry.mm === mm);
    if (own.length === 0 && mm !== machine.processes[0]?.mm) continue;
    let shown = 0;
    for (let vpn = tables.first; vpn < tables.pages && shown < MOST_PAGES; vpn++) {
      truth.look(mm, vpn);
      const views = own.filter((entry) => vpn >= entry.vpn && vpn < entry.vpn + entry.pages);
      if (truth.pte === 0 && views.length === 0) continue;
      shown++;
      lines.push(
        `${page(vpn, mm)}: page table ${truthText(truth)}`,
        ...views.map((entry) => viewText(entry, vpn, truth)),
      );
    }
  }
  return lines;
}

function truthText({ dirty, pfn, present, pte, writable }: Truth): string {
  if (pte === 0) return "nothing";
  if (!present) return pfn === 0 ? "not present" : `frame ${pfn}, lent to a device`;
  if ((pte & PTE_VALID) === 0) return `frame ${pfn} --`;
  return `frame ${pfn} r${writable ? "w" : "-"}${writable && !dirty ? " clean" : ""}`;
}

function viewText({ holder, vpn: from, pfn, write, standing, HD }: Cached, vpn: number, truth: Truth): string {
  const frame = pfn + vpn - from;
  const writable = standing === "mirrors" ? truth.writable : truth.hardwareWritable(HD);
  const differs =
    frame !== truth.pfn
      ? "  <- another frame"
      : write && !writable
        ? "  <- more rights"
        : !write && writable
          ? "  <- fewer rights"
          : "";
  return `    ${holder}: frame ${frame} r${write ? "w" : "-"}${differs}`;
}

import { PTE_VALID } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import type { Stale } from "../../engine/model.js";
import { type Cached, cachedIn } from "./cached.js";
import type { PageName } from "./coherence.js";
import { Truth } from "./truth.js";

/** Pages of one mm that are shown at most. */
const MOST_PAGES = 6;

/** A page, what the page table says of it, and what each cache says. */
interface Row {
  readonly page: string;
  readonly truth: string;
  readonly views: readonly { readonly holder: string; readonly entry: string; readonly differs: string | undefined }[];
}

/** Each page that is mapped or cached: what the page table says, and below it what each cache says. */
export function viewOf(machine: Machine, page: PageName): readonly string[] {
  const lines: string[] = [];
  for (const { page: name, truth, views } of rowsOf(machine, page)) {
    lines.push(`${name}: page table ${truth}`);
    for (const { differs, entry, holder } of views)
      lines.push(`    ${holder}: ${entry}${differs === undefined ? "" : `  <- ${differs}`}`);
  }
  return lines;
}

/** The first cache that does not say what the page table says. */
export function staleIn(machine: Machine, page: PageName): Stale | undefined {
  for (const { page: name, truth, views } of rowsOf(machine, page))
    for (const { differs, entry, holder } of views)
      if (differs !== undefined) return { page: name, truth, holder, entry };
  return undefined;
}

function rowsOf(machine: Machine, page: PageName): readonly Row[] {
  const { kernel } = machine;
  const { mms, tables } = kernel;
  const cached = cachedIn(machine);
  const truth = new Truth(kernel);
  const rows: Row[] = [];
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
      rows.push({
        page: page(vpn, mm),
        truth: truthText(truth),
        views: views.map((entry) => viewIn(entry, vpn, truth)),
      });
    }
  }
  return rows;
}

function truthText({ dirty, pfn, present, pte, writable }: Truth): string {
  if (pte === 0) return "nothing";
  if (!present) return pfn === 0 ? "not present" : `frame ${pfn}, lent to a device`;
  if ((pte & PTE_VALID) === 0) return `frame ${pfn} --`;
  return `frame ${pfn} r${writable ? "w" : "-"}${writable && !dirty ? " clean" : ""}`;
}

function viewIn(
  { holder, vpn: from, pfn, write, standing, HD }: Cached,
  vpn: number,
  truth: Truth,
): Row["views"][number] {
  const frame = pfn + vpn - from;
  const writable = standing === "mirrors" ? truth.writable : truth.hardwareWritable(HD);
  const differs =
    frame !== truth.pfn
      ? "another frame"
      : write && !writable
        ? "more rights"
        : !write && writable
          ? "fewer rights"
          : undefined;
  return { holder, entry: `frame ${frame} r${write ? "w" : "-"}`, differs };
}

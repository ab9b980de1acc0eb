import type { EventRecord, OpRecord, PageRun } from "@mmu-notifier/script";

/** Why they are not compared. */
export const REPEATED_FAULTS =
  "faults that a hypervisor reports again on pieces of a huge entry that is writable by then";

const HUGE_PAGES = 512;
/** A write to a page that is present and may only be read, from user mode. */
const WRITE_PROTECTED = 7;
const WRITE = 2;

/**
 * The events of an op without faults that only a guest sees. A hypervisor that maps a guest's huge page in small pieces may report
 * a write to one piece after the guest has made the whole entry writable in the fault on another: x86 flushes nothing then, and how
 * many pieces are stale is not up to the guest. Such a fault changes nothing. It is told by the entry, which is huge after the op,
 * and by an earlier fault on the same entry that brought no signal: of the same op, or a write's before it that no notification and
 * no flush has come after.
 *
 * @param resolved blocks whose huge entry was written to before this op; this op's are added
 */
export function withoutRepeatedFaults(
  record: Pick<OpRecord, "ev" | "pg" | "sigs" | "sig">,
  resolved = new Set<number>(),
): readonly EventRecord[] {
  const touched = new Set(resolved);
  const signalled = new Set(record.sigs?.map(([page]) => page));
  if (record.sig !== undefined) return record.ev;
  return record.ev.filter((event) => {
    if (event[0] !== "F") {
      if (event[0] !== "N") return true;
      touched.clear();
      resolved.clear();
      return true;
    }
    const [, page, code, who] = event;
    if (who !== undefined) return true;
    const block = Math.floor(page / HUGE_PAGES);
    if (code === WRITE_PROTECTED && !signalled.has(page) && touched.has(block)) return false;
    if (signalled.has(page) || !isHuge(record.pg, page)) return true;
    touched.add(block);
    if ((code & WRITE) !== 0) resolved.add(block);
    return true;
  });
}

function isHuge(runs: readonly PageRun[], page: number): boolean {
  return runs.some(([first, pages, flags]) => flags.includes("H") && page >= first && page < first + pages);
}

import { type Path, spinUntil, step } from "@mmu-notifier/steps";
import type { FlushScope } from "../arch/architecture.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";

/** The end of the address space as notifiers spell it. */
const ULONG_MAX = 2 ** 64;
const EVERYTHING = -1;

/** How a range flush is asked for. */
export interface FlushOptions {
  /** Base pages that one entry of the flushed level maps. */
  readonly stridePages?: number;
  /** Walk caches need not be flushed: no page table was freed. flush_tlb_range() itself never leaves them. */
  readonly lastLevel?: boolean;
}

/** What one flush does, in pages; `end` Infinity is the whole address space. */
interface Flush {
  readonly start: number;
  readonly end: number;
  /** Entries asked for, -1 for all. */
  readonly entries: number;
  readonly scope: FlushScope;
  readonly lastLevel: boolean;
  /** Whether the secondary TLBs hear of it, and the range they are told. */
  readonly notify: boolean;
}

/** True when the flush functions of this kernel on this architecture call the event-less hook. */
export function archFlushNotifies(k: Kernel): boolean {
  const [major, minor] = k.arch.flush.hookSince;
  const [at, below] = k.profile.version;
  return k.profile.hookFromArchFlush && k.arch.flush.hook !== "never" && (at > major || (at === major && below >= minor));
}

/** flush_tlb_mm(): every translation of the mm. */
export function* flushTlbMm(k: Kernel, cpu: number, mm: number): Path {
  yield* flush(k, cpu, mm, { start: 0, end: Infinity, entries: EVERYTHING, scope: k.arch.flush.scope, lastLevel: false, notify: true });
}

/** flush_tlb_page(): the leaf that translates page `vpn`. */
export function* flushTlbPage(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  yield* flush(k, cpu, mm, { start: vpn, end: vpn + 1, entries: 1, scope: k.arch.flush.scope, lastLevel: true, notify: true });
}

/** The page's translation on this CPU only; `notify` says whether secondary TLBs hear of it all the same. */
export function* flushTlbPageLocal(k: Kernel, cpu: number, mm: number, vpn: number, notify: boolean): Path {
  yield* flush(k, cpu, mm, { start: vpn, end: vpn + 1, entries: 1, scope: "local", lastLevel: true, notify });
}

/** flush_tlb_page_nosync(): issues the invalidation and does not wait; a later flush completes it. */
export function* flushTlbPageNosync(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  const request: Flush = { start: vpn, end: vpn + 1, entries: 1, scope: k.arch.flush.scope, lastLevel: true, notify: true };
  yield issue(k, cpu, mm, request, true);
  if (archFlushNotifies(k)) yield* notifyRange(k, mm, request);
}

/** flush_tlb_range(): pages [start, end) at the level whose entries map `stridePages`; widened to the whole mm above the ceiling. */
export function* flushTlbRange(k: Kernel, cpu: number, mm: number, start: number, end: number, options: FlushOptions = {}): Path {
  const { stridePages = 1, lastLevel = false } = options;
  const rules = k.arch.flush;
  const from = rules.roundsToStride ? start - (start % stridePages) : start;
  const to = rules.roundsToStride ? Math.ceil(end / stridePages) * stridePages : end;
  const entries = Math.ceil((to - from) / stridePages);
  if (entries >= rules.ceilingEntries || to - from > rules.ceilingPages) {
    yield* flushTlbMm(k, cpu, mm);
    return;
  }
  yield* flush(k, cpu, mm, { start: from, end: to, entries, scope: rules.scope, lastLevel, notify: true });
}

/** Issue, hook and completion in the order of the architecture. */
function* flush(k: Kernel, cpu: number, mm: number, request: Flush): Path {
  const whole = request.end === Infinity;
  const notify = request.notify && archFlushNotifies(k);
  yield issue(k, cpu, mm, request);
  const early = k.arch.flush.hook === "before-completion" && !whole;
  if (notify && early) yield* notifyRange(k, mm, request);
  if (request.scope === "inner-shareable" || request.scope === "cpus") yield complete(k, cpu, mm, request);
  if (notify && !early) yield* notifyRange(k, mm, request);
}

function* notifyRange(k: Kernel, mm: number, { start, end }: Flush): Path {
  yield* k.bus.invalidateRange(mm, start * PAGE_SIZE, end === Infinity ? ULONG_MAX : end * PAGE_SIZE);
}

/** The invalidation leaves this CPU: its own entries go at once, other agents are told. */
function issue(k: Kernel, cpu: number, mm: number, request: Flush, nosync = false) {
  const { start, end, entries, scope, lastLevel } = request;
  return step(scope === "local" ? "tlbi local" : "tlbi", () => {
    const asid = k.mms.asid(mm);
    k.tlbs.invalidate(cpu, asid, start, end);
    if (scope === "inner-shareable") k.dvm.tlbi(asid, start, end, lastLevel);
    if (nosync) invalidateOthers(k, cpu, asid, start, end);
    if (k.observed) k.emit({ kind: "tlb-flush", mm, start, end, pages: entries, scope, lastLevelOnly: lastLevel });
    return 0;
  });
}

/** The barrier after it: other CPUs and listening devices are done with what was dropped. */
function complete(k: Kernel, cpu: number, mm: number, request: Flush) {
  const { start, end } = request;
  return spinUntil(
    request.scope === "cpus" ? "wait for flush interrupts" : "dsb ish",
    () => request.scope === "cpus" || k.dvm.drained,
    () => {
      invalidateOthers(k, cpu, k.mms.asid(mm), start, end);
      return 0;
    },
  );
}

function invalidateOthers(k: Kernel, cpu: number, asid: number, start: number, end: number): void {
  for (let other = 0; other < k.config.cpus; other++) if (other !== cpu) k.tlbs.invalidate(other, asid, start, end);
}

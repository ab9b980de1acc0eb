import { ULONG_MAX } from "@mmu-notifier/bus";
import { type Path, spinUntil, step, type Step } from "@mmu-notifier/steps";
import type { FlushScope } from "../arch/architecture.js";
import { PAGE_SHIFT, PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";

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
  readonly strideShift: number;
  readonly scope: FlushScope;
  readonly lastLevel: boolean;
  /** The range that the caller wanted. */
  readonly asked: PageRange;
  /** The range that the hook is told, or nothing. */
  readonly told: PageRange | undefined;
}

interface PageRange {
  readonly start: number;
  readonly end: number;
}

const WHOLE: PageRange = { start: 0, end: Infinity };

/** True when the flush functions of this kernel on this architecture call the event-less hook. */
export function archFlushNotifies(k: Kernel): boolean {
  return k.profile.hookFromArchFlush && k.arch.flush.hook !== "never" && since(k.profile, ...k.arch.flush.hookSince);
}

/** flush_tlb_mm(): every translation of the mm. A gather that comes to this says what it had collected; hardware does not care. */
export function flushTlbMm(
  k: Kernel,
  cpu: number,
  mm: number,
  { stridePages, lastLevel = false }: FlushOptions = {},
): Path {
  const strideShift = stridePages === undefined ? 0 : shiftOf(stridePages);
  return flush(k, cpu, mm, everything(k, strideShift, lastLevel, WHOLE, WHOLE));
}

/** flush_tlb_page(): the leaf that translates page `vpn`, of whatever size; the hook is told one base page. */
export function flushTlbPage(k: Kernel, cpu: number, mm: number, vpn: number): Path {
  return flush(k, cpu, mm, ofLeaf(vpn, 1, k.arch.flush.scope, true));
}

/** The translation of `pages` pages from `vpn` on this CPU only; `notify` says whether secondary TLBs hear of it all the same. */
export function flushTlbLocal(k: Kernel, cpu: number, mm: number, vpn: number, pages: number, notify: boolean): Path {
  return flush(k, cpu, mm, ofLeaf(vpn, pages, "local", notify));
}

/** flush_tlb_page_nosync(): issues the invalidation, tells the hook and does not wait; a later flush's barrier completes it. */
export function* flushTlbPageNosync(k: Kernel, cpu: number, mm: number, vpn: number, pages = 1): Path {
  const request = ofLeaf(vpn, pages, k.arch.flush.scope, true);
  yield issue(k, cpu, mm, request, true);
  if (archFlushNotifies(k)) yield* notify(k, mm, request.start, request.end);
}

/**
 * flush_tlb_range(): pages [start, end) at the level whose entries map `stridePages`. Above the architecture's ceiling the whole
 * mm is flushed instead.
 */
export function flushTlbRange(
  k: Kernel,
  cpu: number,
  mm: number,
  start: number,
  end: number,
  options: FlushOptions = {},
): Path {
  const { stridePages = 1, lastLevel = false } = options;
  const rules = k.arch.flush;
  const from = rules.roundsToStride ? start - (start % stridePages) : start;
  const to = rules.roundsToStride ? Math.ceil(end / stridePages) * stridePages : end;
  const entries = Math.floor((to - from) / stridePages);
  const strideShift = shiftOf(stridePages);
  const asked = { start: from, end: to };
  const tooMany = entries >= rules.ceilingEntries || to - from > rules.ceilingPages;
  if (!tooMany) {
    const { scope } = rules;
    return flush(k, cpu, mm, { start: from, end: to, entries, strideShift, scope, lastLevel, asked, told: asked });
  }
  if (rules.ceilingFlush === "mm") return flushTlbMm(k, cpu, mm);
  const told = rules.ceilingTells === "asked" || k.profile.x86HookRange === "asked" ? asked : WHOLE;
  return flush(k, cpu, mm, everything(k, strideShift, lastLevel, asked, told));
}

/** flush_pmd_tlb_range(): pages [start, end) that huge entries map. */
export function flushPmdTlbRange(k: Kernel, cpu: number, mm: number, start: number, end: number): Path {
  return flushTlbRange(k, cpu, mm, start, end, {
    stridePages: k.arch.flush.hugeStride === "entry" ? k.tables.hugePages : 1,
  });
}

/** dsb(ish), or the answers to the flush interrupts: invalidations issued without waiting are complete. */
export function flushBarrier(k: Kernel): Step {
  return spinUntil(barrierName(k), () => k.arch.flush.scope !== "inner-shareable" || k.dvm.drained);
}

function ofLeaf(vpn: number, pages: number, scope: FlushScope, notifies: boolean): Flush {
  const range = { start: vpn, end: vpn + pages };
  return {
    start: range.start,
    end: range.end,
    entries: 1,
    strideShift: PAGE_SHIFT,
    scope,
    lastLevel: true,
    asked: range,
    told: notifies ? range : undefined,
  };
}

function everything(k: Kernel, strideShift: number, lastLevel: boolean, asked: PageRange, told: PageRange): Flush {
  const { scope } = k.arch.flush;
  return { start: 0, end: Infinity, entries: EVERYTHING, strideShift, scope, lastLevel, asked, told };
}

function shiftOf(stridePages: number): number {
  return PAGE_SHIFT + 31 - Math.clz32(stridePages);
}

/** Issue, hook and completion in the order of the architecture. */
function* flush(k: Kernel, cpu: number, mm: number, request: Flush): Path {
  const told = archFlushNotifies(k) ? request.told : undefined;
  const early = k.arch.flush.hook === "before-completion" && request.end !== Infinity;
  yield issue(k, cpu, mm, request);
  if (told !== undefined && early) yield* notify(k, mm, told.start, told.end);
  if (request.scope !== "local") yield complete(k, cpu, mm, request);
  if (told !== undefined && !early) yield* notify(k, mm, told.start, told.end);
}

function notify(k: Kernel, mm: number, start: number, end: number): Path {
  return k.bus.invalidateRange(mm, start * PAGE_SIZE, end === Infinity ? ULONG_MAX : end * PAGE_SIZE);
}

/** The invalidation leaves this CPU: its own entries go at once, other agents are told. */
function issue(k: Kernel, cpu: number, mm: number, request: Flush, nosync = false): Step {
  const { start, end, entries, strideShift, scope, lastLevel, asked } = request;
  return step(scope === "local" ? "tlbi (this CPU)" : "tlbi", () => {
    const asid = k.mms.asid(mm);
    k.tlbs.invalidate(cpu, asid, start, end);
    if (scope === "inner-shareable") k.dvm.tlbi(asid, start, end, lastLevel);
    if (nosync) invalidateOthers(k, cpu, asid, start, end);
    if (k.observed)
      k.emit({
        kind: "tlb-flush",
        mm,
        start: asked.start,
        end: asked.end,
        pages: entries,
        strideShift,
        scope,
        lastLevelOnly: lastLevel,
      });
    return 0;
  });
}

/** The barrier after it: other CPUs and listening devices are done with what was dropped. */
function complete(k: Kernel, cpu: number, mm: number, { start, end, scope }: Flush): Step {
  return spinUntil(
    barrierName(k),
    () => scope !== "inner-shareable" || k.dvm.drained,
    () => {
      invalidateOthers(k, cpu, k.mms.asid(mm), start, end);
      return 0;
    },
  );
}

function barrierName(k: Kernel): string {
  return k.arch.flush.scope === "inner-shareable" ? "dsb ish" : "wait for flush interrupts";
}

function invalidateOthers(k: Kernel, cpu: number, asid: number, start: number, end: number): void {
  for (let other = 0; other < k.config.cpus; other++) if (other !== cpu) k.tlbs.invalidate(other, asid, start, end);
}

import { MMF_EXITING } from "@mmu-notifier/core";
import { leafPfn } from "@mmu-notifier/sdk";
import type { Machine } from "@mmu-notifier/machine";
import type { Report } from "../../engine/model.js";
import type { StepRule, Use } from "../observed.js";
import { isQuiet } from "../quiet.js";
import type { ThreadStates } from "../thread-states.js";
import type { Watch } from "../watch/watch.js";
import { busReports } from "./bus-state.js";
import { type Cached, cachedIn, type Holder, holdersOf } from "./cached.js";
import { dirtyReports } from "./dirty.js";
import { mirrorReports } from "./mirrors.js";
import { ownerOf } from "./owner.js";
import { type RuleId, RULES } from "./rules.js";
import { Truth } from "./truth.js";

/** How findings name a page. */
export type PageName = (vpn: number, mm: number) => string;

/**
 * Holds every cache of translations against the page tables: in every state what could be used, in every use what is used. A cache may
 * hold whatever was true since its last completed invalidation, until the call that changed it promises otherwise by returning,
 * or the frame is freed or handed on.
 */
export class Coherence {
  readonly #machine: Machine;
  readonly #states: ThreadStates;
  readonly #truth: Truth;
  readonly #page: PageName;
  readonly #watch: Watch;
  readonly #holders: readonly Holder[];
  readonly #mirrors: readonly Holder[];
  /** Some address space has interval notifiers: they are inserted as devices are bound. */
  readonly #intervals: boolean;

  constructor(machine: Machine, states: ThreadStates, page: PageName, watch: Watch) {
    this.#machine = machine;
    this.#states = states;
    this.#truth = new Truth(machine.kernel);
    this.#page = page;
    this.#watch = watch;
    this.#holders = holdersOf(machine);
    this.#mirrors = this.#holders.filter(({ standing }) => standing === "mirrors");
    this.#intervals = this.#holders.some(({ bound }) => machine.kernel.bus.intervalState(bound.mm) !== undefined);
  }

  /** What is wrong with the state in work. */
  reports(): readonly Report[] {
    const reports: Report[] = [];
    const quiet = isQuiet(this.#machine, this.#states);
    for (const cached of cachedIn(this.#machine, this.#holders)) {
      const report = this.#held(cached, quiet);
      if (report !== undefined) reports.push(report);
    }
    this.#tables(reports);
    mirrorReports(this.#mirrors, this.#watch.windows, this.#page, reports);
    if (quiet) dirtyReports(this.#machine.kernel, this.#watch.pages, this.#page, reports);
    if (this.#intervals) busReports(this.#machine, quiet, reports);
    return reports;
  }

  /** The same rules for translations in use. */
  get rule(): StepRule {
    return { used: (use) => this.#used(use) };
  }

  /** A translation that could be used. */
  #held(cached: Cached, quiet: boolean): Report | undefined {
    const { standing, mm, vpn, pages, pfn, write, HD } = cached;
    const { pages: frames } = this.#machine.kernel;
    const against = (i: number, verdict: Report["verdict"], wrong: "frame" | "right" | "clean", rule: RuleId): Report =>
      this.#broken(cached, i, verdict, this.#against(wrong, write), rule);
    const released = this.#released(mm);
    for (let i = 0; i < pages; i++) {
      if (!frames.isLive(pfn + i))
        return this.#broken(cached, i, "STALE-USE", ", which is free", standing === "mirrors" ? "I5" : "T1");
      if (standing === "pinned") continue;
      if (released) return this.#broken(cached, i, "MISSED-RANGE", " after release", "T7");
      const truth = this.#truth.look(mm, vpn + i);
      if (standing === "mirrors") {
        const wrong = pfn + i !== truth.pfn ? "frame" : write && !truth.writable ? "right" : undefined;
        if (wrong !== undefined && !truth.changing) return against(i, "MISSED-RANGE", wrong, "I4");
        continue;
      }
      const other = truth.pfn !== pfn + i;
      if (other && truth.present && !this.#flushIsDue(mm) && (quiet || !this.#sameContent(pfn + i, write)))
        return against(i, "STALE-USE", "frame", "T2");
      if (!quiet) continue;
      if (other) return against(i, "MISSED-RANGE", "frame", "T3");
      if (!write || this.#mayWrite(HD)) continue;
      return truth.writable ? against(i, "MISSED-RANGE", "clean", "T4") : against(i, "MISSED-RANGE", "right", "T3");
    }
    return undefined;
  }

  #broken({ holder, mm, pfn, vpn }: Cached, i: number, verdict: Report["verdict"], how: string, rule: RuleId): Report {
    const page = this.#page(vpn + i, mm);
    return report(verdict, page, `${holder} translates ${page} to frame ${pfn + i}${how}`, rule);
  }

  /** A translation that is used in this very step. */
  #used(use: Use): Report | undefined {
    const { device, mm, vpn, leaf, write } = use;
    const { kernel } = this.#machine;
    const holder = this.#holders.find((one) => one.bound.mm === mm && one.device.name === device);
    const standing = holder?.standing ?? "walks";
    const page = this.#page(vpn, mm);
    const pfn = leafPfn(leaf);
    const does = `${device} ${write ? "writes" : "reads"} frame ${pfn} for ${page}`;
    if (!kernel.pages.isLive(pfn)) return report("STALE-USE", page, `${does}, and that frame is free`, "T1");
    if (standing === "pinned") return undefined;
    const order = this.#watch.pages.outOfOrder(use);
    if (order !== undefined) return order;
    if (this.#released(mm)) return report("STALE-USE", page, `${does} after release`, "T7");
    const truth = this.#truth.look(mm, vpn);
    const quiet = isQuiet(this.#machine, this.#states);
    const strict = quiet || (standing === "mirrors" && !truth.changing);
    if (truth.pfn !== pfn) {
      const late = truth.present && !this.#flushIsDue(mm) && !this.#sameContent(pfn, write);
      if (!strict && !late) return undefined;
      const against = this.#against("frame", write);
      const owner = ownerOf(kernel, pfn, mm, vpn);
      if (owner !== 0) return report("ISOLATION", page, `${does}${against}: that frame is mm${owner}'s`, "ISOLATION");
      return report("STALE-USE", page, `${does}${against}`, strict ? "T3" : "T2");
    }
    if (!write || !strict) return undefined;
    if (standing === "mirrors" ? truth.writable : this.#mayWrite(holder?.bound.walker.agent.HD ?? false))
      return undefined;
    return truth.writable
      ? report("LOST-DIRTY", page, `${does}${this.#against("clean", write)}`, "T4")
      : report("STALE-PERM", page, `${does}${this.#against("right", write)}`, "T3");
  }

  /** Caches of upper levels, whose tables are frames as well. */
  #tables(reports: Report[]): void {
    const { tables } = this.#machine.kernel;
    for (const { bound, device } of this.#holders) {
      for (const { vpn, table } of bound.binding.tables?.() ?? []) {
        if (tables.segment.isLive(table)) continue;
        const page = this.#page(vpn, bound.mm);
        const what = `${device.name}'s walk cache leads from ${page} on to page table ${table}, which is free`;
        reports.push(report("UAF", `page table of ${page}`, what, "T10"));
      }
    }
  }

  /** What the page table says instead. */
  #against(wrong: "frame" | "right" | "clean", write: boolean): string {
    const { pfn, present, lent } = this.#truth;
    if (wrong === "clean") return ", and the page table says that the page is clean";
    if (wrong === "right") return ` with the right to write, which the page table does not give`;
    if (!present && !lent) return ", and the page table has nothing there";
    return `${write ? "" : " (read-only)"}, and the page table says frame ${pfn}`;
  }

  /** A write through a cached right is in order: hardware would allow it, or software would and the page is known to be dirty. */
  #mayWrite(HD: boolean): boolean {
    const truth = this.#truth;
    return truth.hardwareWritable(HD) || (truth.present && truth.writable && truth.knownDirty);
  }

  /** The release of this mm has told everybody on the list. */
  #released(mm: number): boolean {
    const { bus, mms } = this.#machine.kernel;
    return mms.isLive(mm) && (mms.flags(mm) & MMF_EXITING) !== 0 && bus.released(mm);
  }

  /** A gather or a batch has cleared entries of this mm and not flushed yet. */
  #flushIsDue(mm: number): boolean {
    const { mms } = this.#machine.kernel;
    return mms.isLive(mm) && (mms.tlbFlushPending(mm) > 0 || mms.tlbFlushBatched(mm));
  }

  /** KSM and its like may put another frame of the same content in place of a read-only one before they invalidate. */
  #sameContent(pfn: number, write: boolean): boolean {
    const { pages } = this.#machine.kernel;
    return !write && pages.content(pfn) === pages.content(this.#truth.pfn);
  }
}

function report(verdict: Report["verdict"], about: string, what: string, rule: RuleId): Report {
  return { verdict, about, what, rule: RULES[rule] };
}

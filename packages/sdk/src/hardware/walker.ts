import { type Kernel, type Pte, pteHugeLeaf, ptePfn, pteTable, PTE_AF, PTE_VALID } from "@mmu-notifier/core";
import { type Path, type Step, step } from "@mmu-notifier/steps";
import type { Costs } from "../costs.js";
import type { DeviceEvents } from "../device-event.js";
import type { AccessRequest, TranslationStage } from "./translation.js";
import {
  F_ACCESS,
  F_TRANSLATION,
  LEAF_READ,
  LEAF_WRITE,
  packLeaf,
  TRANSLATION_KILLED,
  type TranslationResult,
} from "./translation-result.js";
import type { WalkCache } from "./walk-cache.js";

/** What a walker does by itself. */
export interface WalkerAgent {
  /** Sets the access flag. */
  readonly HA: boolean;
  /** Sets the dirty state. */
  readonly HD: boolean;
}

/** How a walker is built. */
export interface WalkerOptions {
  /** Keeps entries of upper levels, so that walks start lower. */
  readonly walkCache?: WalkCache;
}

/** Whoever looks on while tables are read: called in the step, before the entry is read. Shared by a walker and those made from it. */
export interface WalkWatcher {
  read?: (vpn: number, table: number, level: number) => void;
}

/** Results of a read that no page-table word has. */
const KILLED = 2 ** 40;
const UNMAPPED = 2 ** 40 + 1;

/**
 * Walks the CPU's page table of one mm, top level first, one atomic read a level, as an IOMMU does that shares the table. What the
 * entry allows is what the walk returns: a leaf without the wanted right is an answer, not a fault, and may be cached.
 *
 * @public
 */
export class Walker implements TranslationStage {
  readonly agent: WalkerAgent;
  /** For checkers; nobody at first. */
  readonly watcher: WalkWatcher;
  readonly #k: Kernel;
  readonly #mm: number;
  readonly #costs: Costs;
  readonly #events: DeviceEvents;
  readonly #walkCache: WalkCache | undefined;

  constructor(
    k: Kernel,
    mm: number,
    agent: WalkerAgent,
    costs: Costs,
    events: DeviceEvents,
    options: WalkerOptions = {},
    watcher: WalkWatcher = {},
  ) {
    this.watcher = watcher;
    this.#k = k;
    this.#mm = mm;
    this.agent = agent;
    this.#costs = costs;
    this.#events = events;
    this.#walkCache = options.walkCache;
  }

  /** The same walker with a cache of upper-level entries, which the caller invalidates. */
  withWalkCache(walkCache: WalkCache): Walker {
    return new Walker(this.#k, this.#mm, this.agent, this.#costs, this.#events, { walkCache }, this.watcher);
  }

  *translate(request: AccessRequest): Path<TranslationResult> {
    const { tables } = this.#k;
    this.#costs.count("walks");
    const cached = this.#walkCache === undefined ? 0 : yield this.#walkCache.lookup(request);
    // A walk-cache hit is the table of level 0 entries; without one the walk starts at the pgd.
    let table = cached;
    let level = cached === 0 ? tables.top : 0;
    for (;;) {
      const entry = yield this.#read(request, table, level);
      if (entry === KILLED) return TRANSLATION_KILLED;
      if (entry === UNMAPPED) return F_TRANSLATION;
      if (level === 0 || !pteTable(entry)) return this.#leaf(request.vpn, level, entry);
      table = ptePfn(entry);
      level--;
      if (level === 0 && this.#walkCache !== undefined && (yield this.#walkCache.insert(request, table)) !== 0)
        return TRANSLATION_KILLED;
    }
  }

  /** What a walk for `vpn` would return now, without side effects or cost. Inside a step or between steps. */
  peek(vpn: number): TranslationResult {
    const { tables, mms } = this.#k;
    if (!mms.isLive(this.#mm)) return F_TRANSLATION;
    const ptep = tables.leaf(mms.pgd(this.#mm), vpn);
    if (ptep === 0) return F_TRANSLATION;
    return this.#leaf(vpn, tables.levelOf(ptep), tables.get(ptep));
  }

  /** Base pages that a leaf of `level` maps. */
  span(level: number): number {
    return this.#k.tables.span[level]!;
  }

  /** One read of a page-table word, with what the walker changes in it by itself. */
  #read(request: AccessRequest, table: number, level: number): Step {
    const { mms, tables } = this.#k;
    const { held, vpn, write } = request;
    return step(`walk-read level ${level}`, () => {
      if (held.killed()) {
        held.end();
        this.#costs.count("killedWalks");
        return KILLED;
      }
      this.#costs.count("walkReads");
      const from = table === 0 ? mms.pgd(this.#mm) : table;
      this.watcher.read?.(vpn, from, level);
      const ptep = tables.ptepIn(from, level, vpn);
      const entry = tables.get(ptep);
      if (this.#events.observed) this.#events.emit({ kind: "walk-read", vpn, level, entry });
      if (pteTable(entry) && level > 0) return entry;
      if (
        (entry & PTE_VALID) === 0 ||
        (level > 0 && !pteHugeLeaf(entry)) ||
        !this.#k.pte.hwReadable(entry, this.agent.HA)
      ) {
        // The walk ends in a fault: what tracked it lets go in this very step.
        held.end();
        return (entry & PTE_VALID) === 0 ? UNMAPPED : entry;
      }
      const updated = this.#update(entry, write);
      if (updated !== entry) tables.set(ptep, updated);
      return updated;
    });
  }

  #update(entry: Pte, write: boolean): Pte {
    let updated = entry;
    if (this.agent.HA) updated |= PTE_AF;
    if (this.agent.HD && write && this.#k.pte.hwWritable(updated, true)) updated = this.#k.pte.hwMkdirty(updated);
    return updated;
  }

  #leaf(vpn: number, level: number, entry: Pte): TranslationResult {
    const { pte } = this.#k;
    if ((entry & PTE_VALID) === 0) return F_TRANSLATION;
    if (!pte.hwReadable(entry, this.agent.HA)) return F_ACCESS;
    const rights = LEAF_READ | (pte.hwWritable(entry, this.agent.HD) ? LEAF_WRITE : 0);
    return packLeaf(ptePfn(entry) + (vpn % this.span(level)), level, rights);
  }
}

import {
  PageTables,
  PTE_AF,
  PTE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_SPECIAL,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  mkPte,
  ptePfn,
} from "@mmu-notifier/core";
import type { HardwareContext } from "../context.js";

/** An entry of a shadow page table, one int32: frame and SPTE_ bits. 0 is none. */
export type Spte = number;

export const SPTE_PRESENT = PTE_VALID;
/** The device may write through it. */
export const SPTE_WRITABLE = PTE_WRITE;
export const SPTE_ACCESSED = PTE_AF;
export const SPTE_DIRTY = PTE_DIRTY;
/** The host's entry allowed writes when this one was made. */
export const SPTE_HOST_WRITABLE = PTE_SOFT_DIRTY;
/** Write access was taken away for a reason of the shadow MMU's own (dirty logging); it can be given back without asking the host. */
export const SPTE_MMU_WRITABLE = PTE_SPECIAL;

/** What {@link ShadowTable.install} is told. */
export interface SpteRights {
  readonly hostWritable: boolean;
  /** Hold the write right back although the host would allow it. */
  readonly writeProtected?: boolean;
  /** The access that faulted is a write. */
  readonly write: boolean;
}

/**
 * A page table that a driver keeps for its device: guest frame to host frame. It holds no references; only notifications keep it
 * true. Base pages only. Methods are for steps, under the driver's lock.
 *
 * @public
 */
export class ShadowTable {
  readonly #tables: PageTables;
  readonly #root: number;
  readonly #context: HardwareContext;
  readonly #first: number;

  /** @param first number of the first page that it can map */
  constructor(context: HardwareContext, first = 0) {
    this.#context = context;
    this.#first = first;
    this.#tables = new PageTables(context.memory.machine, context.geometry, 2);
    this.#root = this.#tables.create(this.#tables.top);
  }

  /** The host frame of an entry. */
  static pfn(spte: Spte): number {
    return ptePfn(spte);
  }

  /** The entry of a guest frame, 0 when there is none. */
  get(gfn: number): Spte {
    const ptep = this.#tables.find(this.#root, 0, gfn);
    return ptep === 0 ? 0 : this.#tables.get(ptep);
  }

  /** Makes or replaces an entry. An entry for the same frame keeps what hardware recorded in it. */
  install(gfn: number, pfn: number, { hostWritable, writeProtected = false, write }: SpteRights): Spte {
    const before = this.get(gfn);
    const kept = before !== 0 && ptePfn(before) === pfn ? before & (SPTE_ACCESSED | SPTE_DIRTY) : 0;
    let flags = SPTE_PRESENT | PTE_USER | SPTE_ACCESSED | kept;
    if (hostWritable) flags |= SPTE_HOST_WRITABLE | SPTE_MMU_WRITABLE;
    if (hostWritable && (!writeProtected || write)) flags |= SPTE_WRITABLE;
    const spte = mkPte(pfn, flags);
    this.#tables.set(this.#tables.findOrCreate(this.#root, 0, gfn), spte);
    return spte;
  }

  /** What a device's walk does to a present entry: sets A, and D for a write that is allowed. */
  touch(gfn: number, write: boolean): void {
    const ptep = this.#tables.find(this.#root, 0, gfn);
    const spte = this.#tables.get(ptep);
    this.#tables.set(ptep, spte | SPTE_ACCESSED | (write && (spte & SPTE_WRITABLE) !== 0 ? SPTE_DIRTY : 0));
  }

  /** Removes the entries of guest frames [start, end); returns how many there were. */
  zap(start: number, end: number): number {
    return this.#each(start, end, () => 0);
  }

  /** Takes the write right from [start, end) without forgetting that it can be given back; returns how many had it. */
  writeProtect(start: number, end: number): number {
    return this.#each(start, end, (spte) =>
      (spte & SPTE_WRITABLE) === 0 ? spte : spte & ~(SPTE_WRITABLE | SPTE_DIRTY),
    );
  }

  /** Makes entries of [start, end) old; returns how many were young. */
  age(start: number, end: number): number {
    return this.#each(start, end, (spte) => spte & ~SPTE_ACCESSED);
  }

  /** Entries of [start, end) that are young. */
  young(start: number, end: number): number {
    let count = 0;
    this.#walk(this.#root, this.#tables.top, this.#first, start, end, (_, ptep) => {
      if ((this.#tables.get(ptep) & SPTE_ACCESSED) !== 0) count++;
    });
    return count;
  }

  /**
   * fast_page_fault(): gives back a write right that was held back, without lock and without asking the host; false when the host
   * must be asked.
   */
  fixWriteProtection(gfn: number): boolean {
    const ptep = this.#tables.find(this.#root, 0, gfn);
    const spte = ptep === 0 ? 0 : this.#tables.get(ptep);
    const both = SPTE_HOST_WRITABLE | SPTE_MMU_WRITABLE;
    if ((spte & SPTE_PRESENT) === 0 || (spte & both) !== both) return false;
    this.#tables.set(ptep, spte | SPTE_WRITABLE | SPTE_DIRTY);
    return true;
  }

  /**
   * Synchronises an entry with a guest entry that changed: rights can only be taken away, whatever the guest says; a right that the host did
   * not give is never raised.
   */
  sync(gfn: number, guestWritable: boolean): void {
    const ptep = this.#tables.find(this.#root, 0, gfn);
    const spte = ptep === 0 ? 0 : this.#tables.get(ptep);
    if ((spte & SPTE_PRESENT) === 0 || guestWritable) return;
    this.#tables.set(ptep, spte & ~(SPTE_WRITABLE | SPTE_MMU_WRITABLE));
  }

  /** Every present entry, lowest guest frame first. */
  entries(): { readonly gfn: number; readonly spte: Spte }[] {
    const found: { gfn: number; spte: Spte }[] = [];
    this.#walk(this.#root, this.#tables.top, this.#first, 0, Infinity, (gfn, ptep) =>
      found.push({ gfn, spte: this.#tables.get(ptep) }),
    );
    return found;
  }

  #each(start: number, end: number, change: (spte: Spte) => Spte): number {
    let changed = 0;
    this.#walk(this.#root, this.#tables.top, this.#first, start, end, (gfn, ptep) => {
      const before = this.#tables.get(ptep);
      const after = change(before);
      if (after === before) return;
      this.#tables.set(ptep, after);
      changed++;
      if (this.#context.events.observed && after === 0)
        this.#context.events.emit({ kind: "evict", cache: "spte", asid: 0, vpn: gfn, needless: false });
    });
    return changed;
  }

  /** Visits present leaf entries of guest frames [start, end); tables without entries are skipped, so the cost is that of what there is. */
  #walk(
    table: number,
    level: number,
    base: number,
    start: number,
    end: number,
    visit: (gfn: number, ptep: number) => void,
  ): void {
    const span = this.#tables.span[level]!;
    const entries = 2 ** this.#tables.geometry.bits[level]!;
    const first = Math.max(0, Math.floor((start - base) / span));
    const last = Math.min(entries, Math.ceil((end - base) / span));
    let left = this.#tables.count(table);
    for (let index = first; index < last && left > 0; index++) {
      const gfn = base + index * span;
      const ptep = this.#tables.ptepIn(table, level, gfn);
      const entry = this.#tables.get(ptep);
      if (entry === 0) continue;
      left--;
      if (level === 0) visit(gfn, ptep);
      else this.#walk(ptePfn(entry), level - 1, gfn, start, end, visit);
    }
  }
}

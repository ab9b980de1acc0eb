import { isHeld } from "@mmu-notifier/steps";
import {
  isMigrationEntry,
  type Kernel,
  PG_DIRTY,
  isSwapPte,
  SWP_DEVICE_EXCLUSIVE_WRITE,
  SWP_DEVICE_READ,
  SWP_SWAP,
  ptePfn,
  ptePresent,
  pteWrite,
  swpOffset,
  swpType,
} from "@mmu-notifier/core";

/** What the CPU's page table says about one page. */
export class Truth {
  readonly #k: Kernel;
  pte = 0;
  /** Frame of the page, 0 when the entry has none. */
  pfn = 0;
  present = false;
  /** The frame is lent to a device: it, and nobody else, may reach the page. */
  lent = false;
  #mm = 0;
  #vpn = 0;
  /** Of the page in what the entry maps. */
  #offset = 0;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Looks a page up; the fields are about it until the next call. */
  look(mm: number, vpn: number): this {
    const { mms, tables } = this.#k;
    this.#mm = mm;
    this.#vpn = vpn;
    this.pte = 0;
    this.pfn = 0;
    this.present = false;
    this.lent = false;
    this.#offset = 0;
    const pgd = mms.isLive(mm) ? mms.pgd(mm) : 0;
    const ptep = pgd === 0 ? 0 : tables.leaf(pgd, vpn);
    if (ptep === 0) return this;
    this.pte = tables.get(ptep);
    this.#offset = vpn % tables.span[tables.levelOf(ptep)]!;
    if (ptePresent(this.pte)) {
      this.present = true;
      this.pfn = ptePfn(this.pte) + this.#offset;
    } else if (isSwapPte(this.pte)) {
      const type = swpType(this.pte);
      this.lent = type >= SWP_DEVICE_READ && type <= SWP_DEVICE_EXCLUSIVE_WRITE;
      if (this.lent) this.pfn = swpOffset(this.pte);
    }
    return this;
  }

  /** Where the page's content is: a frame, the frame that an entry of migration or the swap cache leads to, minus a swap slot; 0 nowhere. */
  get home(): number {
    const { pte, pfn } = this;
    if (pfn !== 0) return pfn;
    if (isMigrationEntry(pte)) return swpOffset(pte) + this.#offset;
    if (!isSwapPte(pte) || swpType(pte) !== SWP_SWAP) return 0;
    const slot = swpOffset(pte) + this.#offset;
    return this.#k.swap.cached(slot) || -slot;
  }

  /** What a {@link home} holds. */
  contentOf(home: number): number {
    return home > 0 ? this.#k.pages.content(home) : this.#k.swap.content(-home);
  }

  /** The kernel lets the page be written. */
  get writable(): boolean {
    return pteWrite(this.pte) || this.lent;
  }

  /** Hardware that manages the dirty state (HD) or does not lets a write through. */
  hardwareWritable(HD: boolean): boolean {
    return this.#k.pte.hwWritable(this.pte, HD);
  }

  /** The entry says that the page was written. */
  get dirty(): boolean {
    return this.#k.pte.dirty(this.pte);
  }

  /** The entry or the frame says that the page was written: a clean entry then only means that hardware has not looked lately. */
  get knownDirty(): boolean {
    const { pages } = this.#k;
    return this.dirty || (pages.flags(pages.head(this.pfn)) & PG_DIRTY) !== 0;
  }

  /** Somebody holds the lock over this very entry, or over the entry that leads nowhere yet. */
  get entryLocked(): boolean {
    const { mms, tables } = this.#k;
    if (!mms.isLive(this.#mm)) return false;
    for (let level = 0; level <= tables.top; level++) {
      const ptep = tables.find(mms.pgd(this.#mm), level, this.#vpn);
      if (ptep !== 0) return isHeld(tables.ptl(tables.tableOf(ptep)));
    }
    return false;
  }

  /** Somebody holds the lock of a table on the way to the entry: what it shows may be half done. */
  get changing(): boolean {
    const { mms, tables } = this.#k;
    if (!mms.isLive(this.#mm)) return false;
    for (let level = 0; level <= tables.top; level++) {
      const ptep = tables.find(mms.pgd(this.#mm), level, this.#vpn);
      if (ptep !== 0 && isHeld(tables.ptl(tables.tableOf(ptep)))) return true;
    }
    return false;
  }
}

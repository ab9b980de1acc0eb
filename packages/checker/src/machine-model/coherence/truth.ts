import { isHeld } from "@mmu-notifier/steps";
import { type Kernel, PG_DIRTY, isSwapPte, ptePfn, ptePresent, pteWrite, swpOffset, swpType } from "@mmu-notifier/core";

const SWP_DEVICE_READ = 4;
const SWP_DEVICE_EXCLUSIVE_WRITE = 7;

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
    const pgd = mms.isLive(mm) ? mms.pgd(mm) : 0;
    const ptep = pgd === 0 ? 0 : tables.leaf(pgd, vpn);
    if (ptep === 0) return this;
    this.pte = tables.get(ptep);
    if (ptePresent(this.pte)) {
      this.present = true;
      this.pfn = ptePfn(this.pte) + (vpn % tables.span[tables.levelOf(ptep)]!);
    } else if (isSwapPte(this.pte)) {
      const type = swpType(this.pte);
      this.lent = type >= SWP_DEVICE_READ && type <= SWP_DEVICE_EXCLUSIVE_WRITE;
      if (this.lent) this.pfn = swpOffset(this.pte);
    }
    return this;
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

  /** Somebody holds the lock of the table that the entry is in, or would be in: what it shows may be half done. */
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

import { type Kernel, isSwapPte, ptePfn, ptePresent, pteWrite, swpOffset, swpType } from "@mmu-notifier/core";

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

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Looks a page up; the fields are about it until the next call. */
  look(mm: number, vpn: number): this {
    const { mms, tables } = this.#k;
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

  /** Written pages are known to be. */
  get dirty(): boolean {
    return this.#k.pte.dirty(this.pte);
  }
}

import type { MmuNotifierRange, MmuNotifyEvent } from "@mmu-notifier/bus";
import {
  flushTlbRange,
  type FlushOptions,
  type Kernel,
  mkPte,
  PAGE_SIZE,
  ptePfn,
  ptePresent,
} from "@mmu-notifier/core";
import type { BoundDevice } from "@mmu-notifier/sdk";
import { type Lock, type Path, type Step, step } from "@mmu-notifier/steps";
import { READ_WRITE } from "./entry-flags.js";
import type { Oracle } from "./oracle.js";

/** The steps that kernel paths of a scene are put together from, good ones and bad ones. The oracle learns of every change. */
export abstract class KernelSteps {
  abstract readonly k: Kernel;
  abstract readonly oracle: Oracle;
  /** The first address space. */
  abstract readonly mm: number;
  abstract readonly devices: readonly BoundDevice[];
  readonly #breakBeforeMake: boolean;

  /** @param breakBeforeMake an entry that changes its frame has to be none in between */
  constructor(breakBeforeMake: boolean) {
    this.#breakBeforeMake = breakBeforeMake;
  }

  /** A range of pages as a notifier is told. */
  range(
    vpn: number,
    pages = 1,
    event: MmuNotifyEvent = "MMU_NOTIFY_CLEAR",
    { mm = this.mm, owner = 0 } = {},
  ): MmuNotifierRange {
    return { mm, start: vpn * PAGE_SIZE, end: (vpn + pages) * PAGE_SIZE, event, owner };
  }

  start(range: MmuNotifierRange): Path<number> {
    return this.k.bus.invalidateRangeStart(range);
  }

  end(range: MmuNotifierRange): Path {
    return this.k.bus.invalidateRangeEnd(range);
  }

  /** The lock over the entry of a page. */
  ptl(vpn: number, mm = this.mm): Lock {
    const { mms, tables } = this.k;
    return tables.ptl(tables.tableOf(tables.findOrCreate(mms.pgd(mm), 0, vpn)));
  }

  /** Changes the entry of a page in one step; returns its frame, 0 when there was nothing. */
  change(label: string, vpn: number, to: (pte: number) => number, mm = this.mm): Step {
    return step(`${label}(page ${vpn})`, () => {
      const { mms, tables } = this.k;
      const ptep = tables.find(mms.pgd(mm), 0, vpn);
      const before = ptep === 0 ? 0 : tables.get(ptep);
      const after = to(before);
      if (after === before) return ptePfn(before);
      this.oracle.changes(mm, vpn);
      if (this.#breakBeforeMake && ptePresent(before) && ptePresent(after) && ptePfn(before) !== ptePfn(after)) {
        const page = this.oracle.page(mm, vpn);
        this.oracle.record(
          "BBM",
          page,
          `${page} goes from frame ${ptePfn(before)} to frame ${ptePfn(after)} without being invalid in between`,
        );
      }
      tables.set(tables.findOrCreate(mms.pgd(mm), 0, vpn), after);
      if (ptePfn(after) !== 0) this.oracle.owns(ptePfn(after), mm);
      return ptePfn(before);
    });
  }

  /** ptep_get_and_clear(): returns the frame, 0 when the entry is none already. */
  clear(vpn: number, mm = this.mm): Step {
    return this.change("ptep_get_and_clear", vpn, () => 0, mm);
  }

  /** set_pte_at(): the page is frame `pfn` from now on. */
  set(vpn: number, pfn: number, flags = READ_WRITE, mm = this.mm): Step {
    return this.change("set_pte_at", vpn, () => mkPte(pfn, flags), mm);
  }

  /** ptep_set_wrprotect(). */
  wrprotect(vpn: number, mm = this.mm): Step {
    return this.change("ptep_set_wrprotect", vpn, (pte) => (pte === 0 ? 0 : this.k.pte.wrprotect(pte)), mm);
  }

  /** flush_tlb_range() on CPU 0, with the secondary TLBs' hook where this kernel has it there. */
  flush(vpn: number, pages = 1, { mm = this.mm, ...options }: FlushOptions & { readonly mm?: number } = {}): Path {
    return flushTlbRange(this.k, 0, mm, vpn, vpn + pages, options);
  }

  /** Takes a frame for a page of `mm`; returns it. */
  alloc(mm = this.mm): Step {
    return step("alloc_page", () => {
      const pfn = this.k.pages.alloc();
      this.oracle.owns(pfn, mm);
      return pfn;
    });
  }

  /** Gives a frame back; nothing when it is 0. */
  free(pfn: number): Step {
    return step(`free_page(frame ${pfn})`, () => {
      if (pfn === 0) return 0;
      this.oracle.owns(pfn, 0);
      this.k.pages.put(pfn);
      return 0;
    });
  }

  /** The content of one frame goes to another. */
  copy(from: number, to: number): Step {
    return step(`copy_page(frame ${from} to ${to})`, () => {
      this.k.pages.setContent(to, this.k.pages.content(from));
      return 0;
    });
  }

  /** A call returns: from now on nobody may get more of pages [vpn, vpn + pages) than the page table gives. */
  returns(call: string, vpn: number, pages = 1, mm = this.mm): Step {
    return step(`${call} returns`, () => {
      this.oracle.promises(mm, vpn, vpn + pages);
      return 0;
    });
  }

  /**
   * After an invalidation of [vpn, vpn + pages): a cached translation in there that the page table no longer gives is MISSED-RANGE.
   *
   * @param about the object of the finding; without it the page
   */
  expectDropped(vpn: number, pages = 1, { mm = this.mm, about = "" } = {}): Step {
    return step("nothing stale is left in the range", () => {
      for (const { binding, context, mm: of } of this.devices) {
        if (of !== mm) continue;
        for (const entry of binding.entries()) {
          for (let page = Math.max(entry.vpn, vpn); page < Math.min(entry.vpn + entry.pages, vpn + pages); page++) {
            const pfn = entry.pfn + page - entry.vpn;
            const now = this.oracle.frameOf(mm, page);
            if (now === pfn) continue;
            const name = this.oracle.page(mm, page);
            this.oracle.record(
              "MISSED-RANGE",
              about || name,
              `${context.name} still translates ${name} after the invalidation that announced it`,
            );
          }
        }
      }
      return 0;
    });
  }
}

import { type Memory, Vectors } from "@mmu-notifier/steps";
import { type Pages, PG_UPTODATE } from "../page.js";

/**
 * Folios that a disk was asked for and has not delivered: in their cache, locked by the read and not up to date. Whoever needs one
 * waits for it (folio_wait_locked()), and what was asked for with it is there by then; whatever a CPU does without waiting is faster
 * than a disk.
 *
 * @public
 */
export class DiskReads {
  readonly #pending: Vectors;
  readonly #list: number;

  constructor(memory: Memory) {
    this.#pending = new Vectors(memory, "disk reads", 62);
    this.#list = this.#pending.create();
  }

  /** Asks for the folio of `head`. */
  submit(pages: Pages, head: number): void {
    pages.unmark(head, PG_UPTODATE);
    this.#pending.set(this.#list, this.#pending.length(this.#list), head);
  }

  /** Waits for the folio of `page`; nothing to do if it is there. */
  wait(pages: Pages, page: number): void {
    if (!pages.test(page, PG_UPTODATE)) this.complete(pages);
  }

  /** The disk has delivered everything. */
  complete(pages: Pages): void {
    for (let i = this.#pending.length(this.#list) - 1; i >= 0; i--) {
      const head = this.#pending.at(this.#list, i);
      if (pages.isLive(head) && pages.mapping(head) !== 0) pages.mark(head, PG_UPTODATE);
    }
    this.#pending.truncate(this.#list, 0);
  }

  /** Whether something is on its way. */
  get pending(): boolean {
    return this.#pending.length(this.#list) > 0;
  }
}

import { type Path, spinUntil, step } from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { HardwareContext } from "../context.js";
import { InFlight } from "../hardware/in-flight.js";
import type { AccessRequest, TranslationStage } from "../hardware/translation.js";
import {
  F_PERMISSION,
  F_TRANSLATION,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  packLeaf,
  type TranslationResult,
} from "../hardware/translation-result.js";
import { ShadowTable, SPTE_PRESENT, SPTE_WRITABLE } from "./shadow-table.js";

const TAG = 0;
const ROW = 2 ** 32;

/**
 * A page table of the driver's own as the last stage of a translation: one read, which finds an entry or faults. Base pages only.
 * What the driver puts in is used until {@link zap} has taken it out and every access that used it is complete.
 *
 * @public
 */
export class ShadowStage implements TranslationStage {
  readonly table: ShadowTable;
  readonly #context: HardwareContext;
  readonly #inFlight: InFlight;
  readonly #name: string;

  /** @param name of the table in labels of steps */
  constructor(context: HardwareContext, name: string) {
    this.#context = context;
    this.#name = name;
    this.table = new ShadowTable(context, context.geometry.first ?? 0);
    this.#inFlight = new InFlight(context.memory, name);
  }

  *translate(request: AccessRequest): Path<TranslationResult> {
    const { held, vpn, write } = request;
    const result = yield step(`${this.#name} lookup`, () => {
      const leaf = this.peek(vpn);
      if (leaf > 0 && leafAllows(leaf, write)) return this.#inFlight.use(TAG, vpn) * ROW + leaf;
      // A fault ends the access: the caches above let go of it in this very step.
      held.end();
      return leaf > 0 ? F_PERMISSION : leaf;
    });
    if (result <= 0) return result;
    request.hold(this.#inFlight, Math.floor(result / ROW));
    return result % ROW;
  }

  /** What the table would answer now. In steps, or between them. */
  peek(vpn: number): TranslationResult {
    const spte = this.table.get(vpn);
    if ((spte & SPTE_PRESENT) === 0) return F_TRANSLATION;
    return packLeaf(ShadowTable.pfn(spte), 0, LEAF_READ | ((spte & SPTE_WRITABLE) !== 0 ? LEAF_WRITE : 0));
  }

  /** Removes the entries of pages [start, end) and waits, without sleeping, for the accesses that use them. Returns how many there were. */
  *zap(start: number, end: number): Path<number> {
    const zapped = yield step(`${this.#name}: zap`, () => {
      this.#inFlight.cover(TAG, start, end);
      const count = this.table.zap(start, end);
      this.#context.costs.count("zaps", count);
      return count;
    });
    if (zapped > 0) yield spinUntil(`${this.#name}: device quiet`, () => this.#inFlight.drained);
    return zapped;
  }

  /** The entries, for checkers and pictures. */
  entries(): SecondaryEntry[] {
    return this.table.entries().map(({ gfn, spte }) => ({
      where: "mirror",
      vpn: gfn,
      pages: 1,
      pfn: ShadowTable.pfn(spte),
      read: (spte & SPTE_PRESENT) !== 0,
      write: (spte & SPTE_WRITABLE) !== 0,
    }));
  }
}

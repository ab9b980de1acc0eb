import { type Path, step } from "@mmu-notifier/steps";
import type { HardwareContext } from "../context.js";
import { ShadowTable, SPTE_WRITABLE } from "../software/shadow-table.js";
import { AccessRequest, type NextStage, type TranslationStage } from "./translation.js";
import {
  F_TRANSLATION,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  leafPfn,
  leafRights,
  packLeaf,
  type TranslationResult,
} from "./translation-result.js";

/**
 * Stage 1 of a two-stage translation: a table that a guest keeps, from its virtual to its physical pages, with rights of its own. The host
 * neither reads nor changes it, and no notifier of the host speaks of it. Methods are for steps.
 *
 * @public
 */
export class GuestTable {
  readonly #table: ShadowTable;
  readonly #ipa: (vpn: number) => number;

  /** @param ipa the guest-physical page behind a virtual one; a guest that maps its memory one to one leaves it out */
  constructor(context: HardwareContext, ipa: (vpn: number) => number = (vpn) => vpn) {
    this.#table = new ShadowTable(context);
    this.#ipa = ipa;
  }

  map(vpn: number, write: boolean): void {
    // The frame is what `ipa` says; the table keeps the rights.
    this.#table.install(vpn, 0, { hostWritable: write, write });
  }

  unmap(start: number, end: number): number {
    return this.#table.zap(start, end);
  }

  /** The leaf of a virtual page, whose frame is the guest-physical page; F_TRANSLATION when there is none. */
  peek(vpn: number): TranslationResult {
    const entry = this.#table.get(vpn);
    if (entry === 0) return F_TRANSLATION;
    return packLeaf(this.#ipa(vpn), 0, LEAF_READ | ((entry & SPTE_WRITABLE) !== 0 ? LEAF_WRITE : 0));
  }
}

/** Which of two stages refuses an access, by what their tables would say now; undefined when neither does. In steps. */
export function refusingStage(
  stage1: { peek(vpn: number): TranslationResult },
  stage2: { peek(vpn: number): TranslationResult },
  vpn: number,
  write: boolean,
): 1 | 2 | undefined {
  const first = stage1.peek(vpn);
  if (first <= 0 || !leafAllows(first, write)) return 1;
  const second = stage2.peek(leafPfn(first));
  return second <= 0 || !leafAllows(second, write) ? 2 : undefined;
}

/**
 * Two stages as one: the table of a guest, then whatever the stages below translate guest-physical pages with. The result has the
 * frame of stage 2 and the rights that both give. A cache above keeps that combination, so an invalidation of stage 2 has to drop
 * what was combined from it too.
 *
 * @public
 */
export function twoStage(stage1: GuestTable): TranslationStage {
  return {
    *translate(request: AccessRequest, next: NextStage): Path<TranslationResult> {
      const { held } = request;
      const first = yield step("stage 1 walk", () => {
        const leaf = stage1.peek(request.vpn);
        if (leaf <= 0) held.end();
        return leaf;
      });
      if (first <= 0) return first;
      const below = new AccessRequest(leafPfn(first), request.write && leafAllows(first, true), request.ats, request);
      const second = yield* next(below);
      if (second <= 0) return second;
      // Base pages only: a block of stage 2 need not be one run of virtual pages.
      return packLeaf(leafPfn(second), 0, leafRights(first) & leafRights(second));
    },
  };
}

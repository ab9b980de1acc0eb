import { type Path, step } from "@mmu-notifier/steps";
import type { DeviceMemory, Words } from "../device-memory.js";
import type { AccessRequest, NextStage, TranslationStage } from "./translation.js";
import { C_BAD_CD, F_TRANSLATION, type TranslationResult } from "./translation-result.js";

const VALID = 0;
const EPD0 = 1;
const ASID = 2;
const CLEARED = 3;
const ASET = 4;

/**
 * The context descriptor (CD) of one address space. A walk that starts looks at it; accesses that hit a TLB do not, so taking it away
 * needs an invalidation too. Methods are for steps.
 */
export class ContextDescriptor implements TranslationStage {
  readonly #words: Words;

  constructor(memory: DeviceMemory) {
    this.#words = memory.words("cd", 6);
  }

  /** arm_smmu_make_sva_cd(): TTB0 is the mm's pgd, V = 1. ASET = 1 is a private ASID, which broadcasts by ASID or VA leave alone. */
  write(asid: number, aset: 0 | 1): void {
    this.#words.set(VALID, 1);
    this.#words.set(ASID, asid);
    this.#words.set(ASET, aset);
  }

  /** quiet_cd: V stays, so that a late access raises no C_BAD_CD, but every walk faults. */
  quiesce(): void {
    this.#words.set(EPD0, 1);
  }

  clear(): void {
    this.#words.set(VALID, 0);
  }

  get asid(): number {
    return this.#words.get(ASID);
  }

  /** Broadcast TLB maintenance by this ASID reaches the entries. */
  get shared(): boolean {
    return this.#words.get(VALID) !== 0 && this.#words.get(ASET) === 0;
  }

  /** release has dropped everything already; unbind need not. */
  get cleared(): boolean {
    return this.#words.get(CLEARED) !== 0;
  }

  setCleared(): void {
    this.#words.set(CLEARED, 1);
  }

  /** No walk starts any more. */
  get dead(): boolean {
    return this.#words.get(VALID) === 0 || this.#words.get(EPD0) !== 0;
  }

  *translate(request: AccessRequest, next: NextStage): Path<TranslationResult> {
    const { held } = request;
    const result = yield step("cd", () => {
      if (this.#words.get(VALID) !== 0 && this.#words.get(EPD0) === 0) return 0;
      held.end();
      return this.#words.get(VALID) === 0 ? C_BAD_CD : F_TRANSLATION;
    });
    return result === 0 ? yield* next(request) : result;
  }
}

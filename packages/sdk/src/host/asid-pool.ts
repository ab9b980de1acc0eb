import type { Kernel } from "@mmu-notifier/core";
import type { Words } from "../device-memory.js";
import { SdkError } from "../errors.js";

const BITS_A_WORD = 31;

/**
 * Numbers 1 to 2^bits - 1 that a device hands out: the private ASIDs of an SMMU. The lowest free one goes first. Methods
 * are for steps and for set-up.
 *
 * @public
 */
export class AsidPool {
  readonly #used: Words;
  readonly #count: number;
  readonly #name: string;

  /** @param used room for one bit a number: `AsidPool.words(count)` words */
  constructor(name: string, used: Words, count: number) {
    this.#name = name;
    this.#used = used;
    this.#count = count;
  }

  /** Words that a pool of `count` numbers needs. */
  static words(count: number): number {
    return Math.ceil((count + 1) / BITS_A_WORD);
  }

  /**
   * Takes the lowest free number.
   *
   * @throws SdkError SDK_ASIDS_EXHAUSTED
   */
  alloc(): number {
    for (let asid = 1; asid <= this.#count; asid++) {
      if (this.isUsed(asid)) continue;
      this.#flip(asid);
      return asid;
    }
    throw new SdkError(
      "SDK_ASIDS_EXHAUSTED",
      `${this.#name}: all ${this.#count} address-space ids are in use. Unbind an address space first, or give the device more ids`,
      {
        count: this.#count,
      },
    );
  }

  free(asid: number): void {
    if (this.isUsed(asid)) this.#flip(asid);
  }

  /** Marks a number as used, as a driver does with a number that something else owns. */
  reserve(asid: number): void {
    if (!this.isUsed(asid)) this.#flip(asid);
  }

  isUsed(asid: number): boolean {
    return (this.#used.get(Math.floor(asid / BITS_A_WORD)) & (1 << (asid % BITS_A_WORD))) !== 0;
  }

  #flip(asid: number): void {
    const word = Math.floor(asid / BITS_A_WORD);
    this.#used.set(word, this.#used.get(word) ^ (1 << (asid % BITS_A_WORD)));
  }
}

/** The CPUs' address-space ids, as arm64_mm_context_get() gives them to devices. */
export interface AddressSpaceAllocator {
  /** The id that the CPU uses for `mm` now; call it in a step or at set-up. */
  of(mm: number): number;
  /**
   * arm64_mm_context_get(): the CPU's id of the mm, kept from rolling over until {@link unpin}; 0 when no id can be pinned any more
   * (2^bits - CPUs - 2 can). Call it in a step or at set-up.
   */
  pin(mm: number): number;
  /** arm64_mm_context_put(). */
  unpin(mm: number): void;
  /** The mm holds a pinned id. */
  isPinned(mm: number): boolean;
}

/** How many ids a machine's CPUs can pin. */
export function maxPinnedAsids(asidBits: number, cpus: number): number {
  return Math.max(0, 2 ** asidBits - cpus - 2);
}

/** Pins ids of the kernel's mms; the counts live in `pins`, one word an mm below its length. */
export function cpuAsids(k: Kernel, pins: Words, length: number, limit: number): AddressSpaceAllocator {
  const check = (mm: number): void => {
    if (mm >= length)
      throw new SdkError("SDK_BIND_FAILED", `mm ${mm}: devices can pin the ids of the first ${length - 1} mms only`, {
        mm,
        length,
      });
  };
  return {
    of: (mm) => k.mms.asid(mm),
    pin(mm) {
      check(mm);
      if (pins.get(mm) === 0) {
        if (pins.get(0) >= limit) return 0;
        pins.add(0, 1);
      }
      pins.add(mm, 1);
      return k.mms.asid(mm);
    },
    unpin(mm) {
      check(mm);
      if (pins.get(mm) > 0 && pins.add(mm, -1) === 0) pins.add(0, -1);
    },
    isPinned: (mm) => mm < length && pins.get(mm) > 0,
  };
}

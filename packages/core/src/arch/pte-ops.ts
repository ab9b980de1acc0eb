import {
  type Pte,
  PTE_AF,
  PTE_DIRTY,
  PTE_NX,
  PTE_PROTNONE,
  PTE_RDONLY,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
} from "../pte.js";
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from "../vma.js";
import type { Architecture } from "./architecture.js";

/**
 * The pte_*() helpers of one architecture, on packed entries.
 *
 * @public
 */
export class PteOps {
  readonly #arch: Architecture;
  readonly #dbm: boolean;
  /** arm64 since v6.12.y: pte_mkwrite() makes an entry hardware-writable only if it is software-dirty. */
  readonly #mkwriteNeedsDirty: boolean;

  constructor(arch: Architecture, options: { readonly mkwriteNeedsDirty?: boolean } = {}) {
    this.#arch = arch;
    this.#dbm = arch.writeEncoding === "dbm";
    this.#mkwriteNeedsDirty = options.mkwriteNeedsDirty === true;
  }

  /** pte_dirty(). */
  dirty(pte: Pte): boolean {
    if ((pte & PTE_DIRTY) !== 0) return true;
    return this.#dbm && (pte & (PTE_WRITE | PTE_RDONLY)) === PTE_WRITE;
  }

  /** pte_mkwrite(). */
  mkwrite(pte: Pte): Pte {
    const writable = pte | PTE_WRITE;
    if (!this.#dbm || (this.#mkwriteNeedsDirty && (pte & PTE_DIRTY) === 0)) return writable;
    return writable & ~PTE_RDONLY;
  }

  /** pte_mkdirty(). */
  mkdirty(pte: Pte): Pte {
    const dirty = pte | PTE_DIRTY;
    return this.#dbm && (pte & PTE_WRITE) !== 0 ? dirty & ~PTE_RDONLY : dirty;
  }

  /** pte_mkclean(). */
  mkclean(pte: Pte): Pte {
    return this.#dbm ? (pte & ~PTE_DIRTY) | PTE_RDONLY : pte & ~PTE_DIRTY;
  }

  /** pte_wrprotect(). */
  wrprotect(pte: Pte): Pte {
    if (!this.#dbm) return pte & ~PTE_WRITE;
    const kept = this.dirty(pte) ? pte | PTE_DIRTY : pte;
    return (kept & ~PTE_WRITE) | PTE_RDONLY;
  }

  /** maybe_mkwrite(): writable if the VMA is. */
  maybeMkwrite(pte: Pte, vmFlags: number): Pte {
    return (vmFlags & VM_WRITE) !== 0 ? this.mkwrite(pte) : pte;
  }

  /** pte_modify(): the rights of `prot`, the frame, dirty and young bits of `pte`. */
  modify(pte: Pte, prot: Pte): Pte {
    const rights = PTE_VALID | PTE_USER | PTE_WRITE | PTE_RDONLY | PTE_NX | PTE_PROTNONE;
    const dirty = this.dirty(pte) ? PTE_DIRTY : 0;
    const changed = (pte & ~rights) | (prot & rights) | dirty;
    return dirty !== 0 && this.#dbm && (changed & PTE_WRITE) !== 0 ? changed & ~PTE_RDONLY : changed;
  }

  /** A walker that manages the dirty state (HD) or not may write through this entry. */
  hwWritable(pte: Pte, HD: boolean): boolean {
    if ((pte & PTE_VALID) === 0) return false;
    switch (this.#arch.writeEncoding) {
      case "dbm":
        return (pte & PTE_RDONLY) === 0 || (HD && (pte & PTE_WRITE) !== 0);
      case "direct":
        return (pte & PTE_WRITE) !== 0;
      case "write-and-dirty":
        return (pte & PTE_WRITE) !== 0 && (HD || (pte & PTE_DIRTY) !== 0);
    }
  }

  /** A walker with or without hardware access-flag management may read through this entry. */
  hwReadable(pte: Pte, HA: boolean): boolean {
    return (pte & PTE_VALID) !== 0 && (HA || (pte & PTE_AF) !== 0);
  }

  /** What hardware dirty-state management leaves behind after a write. */
  hwMkdirty(pte: Pte): Pte {
    return this.#dbm ? pte & ~PTE_RDONLY : pte | PTE_DIRTY;
  }

  /**
   * vm_get_page_prot(): the entry bits for `vmFlags`. Private mappings get no write right here (copy on write adds it);
   * shared writable ones get it, clean.
   */
  pageProt(vmFlags: number): Pte {
    const nx = (vmFlags & VM_EXEC) !== 0 ? 0 : PTE_NX;
    if ((vmFlags & (VM_READ | VM_WRITE | VM_EXEC)) === 0) return PTE_PROTNONE | PTE_AF | nx | (this.#dbm ? PTE_RDONLY : 0);
    const write = (vmFlags & (VM_WRITE | VM_SHARED)) === (VM_WRITE | VM_SHARED) ? PTE_WRITE : 0;
    return PTE_VALID | PTE_USER | PTE_AF | nx | write | (this.#dbm ? PTE_RDONLY : 0);
  }

  /** The real 64-bit descriptor of a leaf entry: attribute bits of the manual and the output address. */
  toDescriptor(pte: Pte): bigint {
    let descriptor = BigInt(pte >>> 13) << 12n;
    for (const { flag, bit, inverted } of this.#arch.descriptor) {
      if (((pte & flag) !== 0) !== (inverted === true)) descriptor |= 1n << BigInt(bit);
    }
    return descriptor;
  }

  /** The packed flags of a real descriptor; the frame is left out. */
  flagsOf(descriptor: bigint): Pte {
    let flags = 0;
    for (const { flag, bit, inverted } of this.#arch.descriptor) {
      if (((descriptor >> BigInt(bit)) & 1n) === (inverted === true ? 0n : 1n)) flags |= flag;
    }
    return flags;
  }
}

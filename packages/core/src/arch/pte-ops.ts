import {
  PFN_SHIFT,
  type Pte,
  PTE_AF,
  PTE_DIRTY,
  PTE_NX,
  PTE_PROTNONE,
  PTE_RDONLY,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
} from "../pte.js";
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from "../vma.js";
import type { Architecture, DescriptorBit, DescriptorConstant, Version } from "./architecture.js";

/** What else than the architecture decides about entries. */
export interface PteOpsOptions {
  /** arm64 since v6.12: pte_mkwrite() lets hardware write only if the entry is dirty. */
  readonly mkwriteNeedsDirty?: boolean;
  /** CONFIG_MEM_SOFT_DIRTY: pte_mkdirty() sets PTE_SOFT_DIRTY too, where the architecture has it. */
  readonly softDirty?: boolean;
  /** The entries have a userfaultfd write-protection bit; without one pte_mkuffd_wp() does nothing. */
  readonly uffdWp?: boolean;
  /** Kernel version, for descriptor bits that moved; the newest when left out. */
  readonly version?: Version;
}

const NEWEST: Version = [Infinity, 0];

/**
 * The pte_*() helpers of one architecture, on packed entries.
 *
 * @public
 */
export class PteOps {
  readonly #arch: Architecture;
  readonly #dbm: boolean;
  readonly #mkwriteNeedsDirty: boolean;
  /** What pte_mkdirty() sets. */
  readonly #dirtyBits: number;
  /** What pte_mkuffd_wp() sets. */
  readonly #uffdWpBit: number;
  readonly #bits: readonly DescriptorBit[];
  readonly #constants: readonly DescriptorConstant[];

  constructor(
    arch: Architecture,
    { mkwriteNeedsDirty = false, softDirty = false, uffdWp = true, version = NEWEST }: PteOpsOptions = {},
  ) {
    this.#arch = arch;
    this.#dbm = arch.writeEncoding === "dbm";
    this.#mkwriteNeedsDirty = mkwriteNeedsDirty;
    this.#dirtyBits = softDirty && arch.softDirty ? PTE_DIRTY | PTE_SOFT_DIRTY : PTE_DIRTY;
    this.#uffdWpBit = uffdWp ? PTE_UFFD_WP : 0;
    this.#bits = arch.descriptor.filter((line) => holdsIn(line, version));
    this.#constants = arch.constants.filter((line) => holdsIn(line, version));
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
    const dirty = pte | this.#dirtyBits;
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

  /** pte_mkuffd_wp() of an entry that is protected now; nothing where entries have no such bit. */
  mkuffdWp(pte: Pte): Pte {
    return pte | this.#uffdWpBit;
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
    if ((vmFlags & (VM_READ | VM_WRITE | VM_EXEC)) === 0)
      return PTE_PROTNONE | PTE_AF | nx | (this.#dbm ? PTE_RDONLY : 0);
    const write = (vmFlags & (VM_WRITE | VM_SHARED)) === (VM_WRITE | VM_SHARED) ? PTE_WRITE : 0;
    return PTE_VALID | PTE_USER | PTE_AF | nx | write | (this.#dbm ? PTE_RDONLY : 0);
  }

  /** The real 64-bit descriptor of a present leaf entry: attribute bits of the manual and the output address. */
  toDescriptor(pte: Pte): bigint {
    let descriptor = BigInt(pte >>> PFN_SHIFT) << BigInt(this.#arch.frameBit);
    for (const line of this.#constants) if (appliesTo(line, pte)) descriptor |= line.bits;
    for (const line of this.#bits) {
      if (appliesTo(line, pte) && ((pte & line.flag) !== 0) !== (line.inverted === true))
        descriptor |= 1n << BigInt(line.bit);
    }
    return descriptor;
  }

  /** The packed flags of a real descriptor; the frame is left out, and whether the leaf is huge where hardware has no bit for it. */
  flagsOf(descriptor: bigint): Pte {
    // Conditional lines need the bits they depend on first; none depends on a conditional line that depends on another.
    let flags = 0;
    for (const line of this.#bits) if (!isConditional(line) && isSet(line, descriptor)) flags |= line.flag;
    const certain = flags;
    for (const line of this.#bits)
      if (isConditional(line) && appliesTo(line, certain) && isSet(line, descriptor)) flags |= line.flag;
    return flags;
  }

  /** The page number of a real descriptor's output address. It may exceed what a packed entry holds. */
  pfnOf(descriptor: bigint): number {
    const { frameBit, frameBits } = this.#arch;
    return Number((descriptor >> BigInt(frameBit)) & ((1n << BigInt(frameBits)) - 1n));
  }
}

function holdsIn({ since, until }: DescriptorBit | DescriptorConstant, version: Version): boolean {
  return (since === undefined || !isBefore(version, since)) && (until === undefined || isBefore(version, until));
}

function isBefore([major, minor]: Version, [thanMajor, thanMinor]: Version): boolean {
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}

function isConditional(line: DescriptorBit): boolean {
  return line.with !== undefined || line.without !== undefined;
}

function appliesTo(line: DescriptorBit | DescriptorConstant, pte: Pte): boolean {
  const { with: needed = 0, without: forbidden = 0 } = line;
  return (pte & needed) === needed && (pte & forbidden) === 0;
}

function isSet({ bit, inverted }: DescriptorBit, descriptor: bigint): boolean {
  return ((descriptor >> BigInt(bit)) & 1n) === (inverted === true ? 0n : 1n);
}

/**
 * Page-table entries, one int32 each: flag bits below {@link PFN_SHIFT}, the frame (or swap slot) above. The bits have the
 * same place on every architecture; an architecture says what they mean to its hardware and where they lie in a real 64-bit
 * descriptor.
 */
export type Pte = number;

/** Hardware may use the entry. */
export const PTE_VALID = 1 << 0;
export const PTE_USER = 1 << 1;
/** Software "may be written": arm64 DBM, x86 RW, riscv W, sparc64 _PAGE_WRITE, ia64 AR.w. What pte_write() tests. */
export const PTE_WRITE = 1 << 2;
/** arm64 AP[2]: hardware refuses writes. Always clear elsewhere. */
export const PTE_RDONLY = 1 << 3;
/** Software dirty on arm64 (bit 55), the D bit elsewhere. */
export const PTE_DIRTY = 1 << 4;
/** Accessed. */
export const PTE_AF = 1 << 5;
/** Not executable by user. */
export const PTE_NX = 1 << 6;
/** No struct page behind it (zero page, PFN maps). */
export const PTE_SPECIAL = 1 << 7;
/** arm64 contiguous hint. */
export const PTE_CONT = 1 << 8;
/** PROT_NONE or NUMA hinting: present to software, not to hardware. */
export const PTE_PROTNONE = 1 << 9;
export const PTE_UFFD_WP = 1 << 10;
export const PTE_SOFT_DIRTY = 1 << 11;
/** A leaf above the last level (block, PSE). */
export const PTE_HUGE = 1 << 12;

export const PFN_SHIFT = 13;
/** Flag bits of an entry. */
export const PTE_FLAGS_MASK = (1 << PFN_SHIFT) - 1;

export const pteNone = (pte: Pte): boolean => pte === 0;
/** pte_present(): valid, or PROT_NONE. */
export const ptePresent = (pte: Pte): boolean => (pte & (PTE_VALID | PTE_PROTNONE)) !== 0;
/** The frame number of a present entry, the table number of a table entry. */
export const ptePfn = (pte: Pte): number => pte >>> PFN_SHIFT;
/** pte_protnone(): PROT_NONE mapping or NUMA hint. */
export const pteProtnone = (pte: Pte): boolean => (pte & (PTE_VALID | PTE_PROTNONE)) === PTE_PROTNONE;
/** pte_write(): the software view; whether hardware lets a write through is {@link Architecture.hwWritable}. */
export const pteWrite = (pte: Pte): boolean => (pte & PTE_WRITE) !== 0;
export const pteYoung = (pte: Pte): boolean => (pte & PTE_AF) !== 0;
export const pteSpecial = (pte: Pte): boolean => (pte & PTE_SPECIAL) !== 0;
export const pteUffdWp = (pte: Pte): boolean => ptePresent(pte) && (pte & PTE_UFFD_WP) !== 0;
/** pmd_trans_huge() and its kin: a present leaf above the last level. */
export const pteHugeLeaf = (pte: Pte): boolean => ptePresent(pte) && (pte & PTE_HUGE) !== 0;
/** True for an upper-level entry that points to a table. */
export const pteTable = (pte: Pte): boolean => (pte & (PTE_VALID | PTE_HUGE)) === PTE_VALID;

export const pteMkyoung = (pte: Pte): Pte => pte | PTE_AF;
export const pteMkold = (pte: Pte): Pte => pte & ~PTE_AF;
export const pteMkspecial = (pte: Pte): Pte => pte | PTE_SPECIAL;
export const pteMkhuge = (pte: Pte): Pte => pte | PTE_HUGE;
export const pteMkuffdWp = (pte: Pte): Pte => pte | PTE_UFFD_WP;
export const pteClearUffdWp = (pte: Pte): Pte => pte & ~PTE_UFFD_WP;
export const pteMksoftDirty = (pte: Pte): Pte => pte | PTE_SOFT_DIRTY;
export const pteClearSoftDirty = (pte: Pte): Pte => pte & ~PTE_SOFT_DIRTY;
/** mk_pte(): an entry for frame `pfn` with the bits of a `vm_page_prot`. */
export const mkPte = (pfn: number, prot: Pte): Pte => (pfn << PFN_SHIFT) | prot;

/** An upper-level entry that points to table row `table`. */
export const mkTable = (table: number): Pte => (table << PFN_SHIFT) | PTE_VALID | PTE_USER;

/** What a non-present, non-none entry stands for: swap_type of a swp_entry_t. Bits 1 to 4 of the entry. */
export const SWP_SWAP = 0;
export const SWP_MIGRATION_READ = 1;
export const SWP_MIGRATION_READ_EXCLUSIVE = 2;
export const SWP_MIGRATION_WRITE = 3;
export const SWP_DEVICE_READ = 4;
export const SWP_DEVICE_WRITE = 5;
export const SWP_DEVICE_EXCLUSIVE_READ = 6;
export const SWP_DEVICE_EXCLUSIVE_WRITE = 7;
export const SWP_HWPOISON = 8;
export const SWP_MARKER_UFFD_WP = 9;
export const SWP_MARKER_POISONED = 10;
export const SWP_MARKER_GUARD = 11;

const SWP_TYPE_SHIFT = 1;
const SWP_TYPE_MASK = 0xf << SWP_TYPE_SHIFT;
/** The swapped page was AnonExclusive. */
export const SWP_EXCLUSIVE = PTE_CONT;
/** The entry that a migration entry stands for was young, dirty (kept since v6.1). */
export const SWP_MIGRATION_YOUNG = PTE_AF;
export const SWP_MIGRATION_DIRTY = PTE_NX;
/** Distinguishes a swap-like entry with type 0 and offset 0 from none. */
const SWP_MARK = PTE_SPECIAL;

/** is_swap_pte(): neither none nor present. */
export const isSwapPte = (pte: Pte): boolean => pte !== 0 && !ptePresent(pte);
/** The SWP_ type of a non-present entry. */
export const swpType = (pte: Pte): number => (pte & SWP_TYPE_MASK) >> SWP_TYPE_SHIFT;
/** The swap slot, or the frame for migration and device entries. */
export const swpOffset = (pte: Pte): number => pte >>> PFN_SHIFT;
export const swpExclusive = (pte: Pte): boolean => (pte & SWP_EXCLUSIVE) !== 0;
/** A non-present entry of `type` with `offset`; or in PTE_UFFD_WP, PTE_SOFT_DIRTY, SWP_EXCLUSIVE, PTE_HUGE as wanted. */
export const mkSwp = (type: number, offset: number, flags = 0): Pte =>
  (offset << PFN_SHIFT) | (type << SWP_TYPE_SHIFT) | SWP_MARK | flags;
export const isMigrationEntry = (pte: Pte): boolean =>
  isSwapPte(pte) && swpType(pte) >= SWP_MIGRATION_READ && swpType(pte) <= SWP_MIGRATION_WRITE;
export const isPteMarker = (pte: Pte): boolean => isSwapPte(pte) && swpType(pte) >= SWP_MARKER_UFFD_WP;

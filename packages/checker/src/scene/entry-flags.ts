import { PTE_AF, PTE_DIRTY, PTE_RDONLY, PTE_USER, PTE_VALID, PTE_WRITE } from "@mmu-notifier/core";

/** A page that may be written and is. */
export const READ_WRITE = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_DIRTY;
/** A page that may be read only. */
export const READ_ONLY = PTE_VALID | PTE_USER | PTE_AF | PTE_RDONLY;
/** Writable to software, still read-only to hardware without dirty management: what an upgrade in place starts from. */
export const WRITABLE_CLEAN = PTE_VALID | PTE_USER | PTE_AF | PTE_WRITE | PTE_RDONLY;

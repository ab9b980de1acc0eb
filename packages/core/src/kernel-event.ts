import type { FlushScope } from "./arch/architecture.js";

/** What the mm side reports to observers, in the order it happens. Addresses are in pages unless a name says bytes. */
export type KernelEvent =
  | {
      readonly kind: "page-fault";
      readonly mm: number;
      readonly cpu: number;
      readonly vpn: number;
      readonly write: boolean;
      readonly exec: boolean;
      readonly user: boolean;
      /** A present entry refused the access (x86 error code bit 0). */
      readonly present: boolean;
    }
  | {
      readonly kind: "handle-mm-fault";
      readonly mm: number;
      readonly vpn: number;
      readonly flags: number;
      readonly result: number;
    }
  | {
      readonly kind: "tlb-flush";
      readonly mm: number;
      /** First page and page after the last, as asked for; Infinity is the end of the address space. */
      readonly start: number;
      readonly end: number;
      /** Entries flushed, in whole units of the flush stride; -1 when everything was. */
      readonly pages: number;
      /** The flush stride: log2 of the bytes that one entry maps. */
      readonly strideShift: number;
      readonly scope: FlushScope;
      readonly lastLevelOnly: boolean;
    }
  | {
      readonly kind: "set-access-flags";
      /** The kernel's function: ptep_, pmdp_, pudp_, huge_ptep_ or contpte_set_access_flags. */
      readonly fn: string;
      readonly mm: number;
      readonly vpn: number;
      readonly before: number;
      /** The entry asked for; what is stored may keep more of `before`. */
      readonly after: number;
      readonly dirty: boolean;
      readonly changed: boolean;
    }
  /** force_sig_mceerr(): a process is told at once of a broken frame under its page. */
  | {
      readonly kind: "signal";
      readonly mm: number;
      readonly signal: number;
      /** si_code. */
      readonly code: number;
      readonly vpn: number;
    }
  /** A translation gained rights on the same frame. */
  | {
      readonly kind: "upgrade";
      readonly mm: number;
      readonly vpn: number;
      readonly pages: number;
      readonly site: string;
    };

/** A call that a notifier subscriber saw. Pages count from the arena's base. */
export interface QemuCall {
  readonly fn: string;
  /** `self`, or `mm1` … for children. */
  readonly mm: string;
  readonly start?: number | null | undefined;
  readonly end?: number | null | undefined;
  /** The whole address space instead of start and end. */
  readonly whole?: boolean | undefined;
  /** Without MMU_NOTIFY_ in front. */
  readonly event?: string | undefined;
  /** Bit 0: the subscriber may sleep. */
  readonly flags?: number | undefined;
  /** Kernels up to v6.5: the end does not call the hook. */
  readonly onlyEnd?: boolean | undefined;
  readonly ret?: number | undefined;
  /** change_pte: the new entry lets writes through. */
  readonly newWrite?: boolean | undefined;
  /** Kernel thread that called, when it was not the process itself. */
  readonly task?: string;
  /** Functions on the stack, innermost first. */
  readonly via?: readonly string[];
}

/** What hardware would do with an entry. */
type QemuRight = "none" | "ro" | "rw" | "prot_none";
type QemuLevel = "none" | "pte" | "pmd";

/** A run of pages whose translation an operation changed. */
export interface QemuTransition {
  readonly page: number;
  readonly n: number;
  readonly from: QemuRight;
  readonly to: QemuRight;
  readonly samePfn: boolean;
  /** Before and after, if it changed. */
  readonly level?: readonly [QemuLevel, QemuLevel];
}

/** A run of equal pages. */
export interface QemuPages {
  readonly va: number;
  readonly n: number;
  /** Class of the first page's frame; the following pages have the following classes. */
  readonly pfnClass: number | "zero" | null;
  readonly level: QemuLevel;
  readonly present: boolean;
  /** Hardware lets a write through as the entry stands. */
  readonly hwWrite: boolean;
  /** pte_write(). */
  readonly mayWrite: boolean;
  readonly dirty: boolean;
  readonly young: boolean;
  /** Mapped once. */
  readonly exclusive: boolean;
  readonly mapCount: number | null;
  /** Null where the architecture has none. */
  readonly softDirty: boolean | null;
  readonly cont?: boolean;
  readonly special?: boolean;
  readonly uffdWp?: boolean;
  readonly protNone?: boolean;
  readonly swapped?: boolean;
}

export interface QemuVma {
  readonly start: number;
  readonly end: number;
  readonly prot: string;
  readonly shared: boolean;
  readonly offset: number;
  readonly flags: readonly string[];
}

/** One call of a *_set_access_flags function. */
export interface QemuSetAccessFlags {
  readonly fn: string;
  readonly mm: string;
  readonly page: number;
  readonly oldWrite: boolean;
  readonly newWrite: boolean;
  readonly oldMayWrite: boolean;
  readonly newMayWrite: boolean;
  /** What it returned. */
  readonly changed: number;
}

/** One call of handle_mm_fault(). */
export interface QemuFault {
  readonly mm: string;
  readonly page: number;
  /** Names of FAULT_FLAG_ bits. */
  readonly flags: readonly string[];
  /** Names of VM_FAULT_ bits. */
  readonly result: readonly string[];
}

/** What an operation came to. */
export interface QemuResult {
  readonly ret: number | null;
  readonly errno: string | null;
  readonly sig: string | null;
  readonly sigCode?: string | number | null;
  readonly sigPage?: number | null;
}

/** One operation of the corpus that was captured under emulation, with event types. */
export interface QemuRecord extends QemuResult {
  readonly case: string;
  readonly step: number;
  readonly line: string;
  readonly op: string;
  readonly notifier: readonly QemuCall[];
  readonly transitions: readonly QemuTransition[];
  readonly vmas: readonly QemuVma[];
  readonly pages: readonly QemuPages[];
  readonly pteSet: readonly QemuSetAccessFlags[];
  readonly faults: readonly QemuFault[];
}

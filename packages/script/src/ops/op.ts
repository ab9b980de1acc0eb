/** Pages are counted from the arena's base; `start`, `pages`, `page` and `offset` are in 4 KiB pages unless a name says bytes. */
export interface Span {
  readonly start: number;
  readonly pages: number;
}

/** PROT_ bits as the system calls take them. */
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

/** What a mapping is backed by: nothing, a hugetlb pool, or a file that the runner knows by name. */
export type Backing =
  | { readonly kind: "anon" }
  | { readonly kind: "huge" }
  | { readonly kind: "file"; readonly name: string };

/** mmap() of whole pages inside the arena. */
export interface MapOp extends Span {
  readonly kind: "map";
  readonly prot: number;
  readonly shared: boolean;
  readonly backing: Backing;
  readonly offset: number;
  /** MAP_FIXED, MAP_FIXED_NOREPLACE, or a hint. */
  readonly placement: "fixed" | "noreplace" | "hint";
  readonly populate: boolean;
  readonly locked: boolean;
  readonly noreserve: boolean;
  readonly growsdown: boolean;
  readonly stack: boolean;
}

/** A load or store by the process itself or by one of its children. */
export interface AccessOp extends Span {
  readonly kind: "access";
  readonly write: boolean;
  /** `one` page with its value; `each` page of a range whatever signals come; a range `until` the first signal. */
  readonly mode: "one" | "each" | "until";
  /** Number of the child that does it, or -1 for the process itself. */
  readonly child: number;
  /** The byte stored; by default a number that depends on the place of the op in its script. */
  readonly value: number | undefined;
}

/** What kind of file system a file lies on. */
export type FileKind = "memfd" | "disk" | "hugetlb" | "dax";

/** One op of the language. Both dialects of the recorded corpora end here. */
export type Op =
  | MapOp
  | AccessOp
  // Address space
  | {
      readonly kind: "mapx";
      readonly addressBytes: number;
      readonly lengthBytes: number;
      readonly prot: number;
      readonly mapFlags: number;
      readonly file: string | undefined;
      readonly offsetBytes: number;
    }
  | (Span & { readonly kind: "unmap"; readonly child: number })
  | { readonly kind: "unmapx"; readonly addressBytes: number; readonly lengthBytes: number }
  | (Span & { readonly kind: "protect"; readonly prot: number; readonly child: number })
  | { readonly kind: "protectx"; readonly addressBytes: number; readonly lengthBytes: number; readonly prot: number }
  | {
      readonly kind: "remap";
      readonly start: number;
      readonly pages: number;
      readonly newPages: number;
      readonly mayMove: boolean;
      readonly dontUnmap: boolean;
      readonly fixed: boolean;
      readonly destination: number;
    }
  | (Span & { readonly kind: "advise"; readonly advice: number; readonly child: number })
  | { readonly kind: "advisex"; readonly addressBytes: number; readonly lengthBytes: number; readonly advice: number }
  | { readonly kind: "padvise"; readonly advice: number; readonly ranges: readonly Span[] }
  | (Span & { readonly kind: "mlock"; readonly onFault: boolean })
  | (Span & { readonly kind: "munlock" })
  | (Span & { readonly kind: "mseal" })
  | (Span & { readonly kind: "msync"; readonly how: "sync" | "async" | "inval" })
  | (Span & { readonly kind: "mincore" })
  | (Span & { readonly kind: "mbind"; readonly policy: "default" | "bind"; readonly node: number })
  | (Span & { readonly kind: "movepages"; readonly node: number })
  | (Span & { readonly kind: "rfp"; readonly pgoff: number })
  | { readonly kind: "clearrefs"; readonly what: number }
  // Kernel-side accesses
  | { readonly kind: "kread" | "kwrite" | "pmread" | "pmwrite" | "pvread" | "pvwrite"; readonly page: number }
  // Processes
  | { readonly kind: "fork"; readonly child: number; readonly name: string | undefined }
  | { readonly kind: "cexec" | "reap" | "mrelease" | "ckvm"; readonly child: number }
  | { readonly kind: "exit" }
  // Files
  | {
      readonly kind: "create";
      readonly name: string;
      readonly file: FileKind;
      readonly pages: number;
      readonly fill: boolean;
    }
  | { readonly kind: "ftrunc"; readonly file: string; readonly pages: number }
  | {
      readonly kind: "fpunch" | "fzero" | "fcollapse";
      readonly file: string;
      readonly start: number;
      readonly pages: number;
    }
  | { readonly kind: "fwrite" | "fread"; readonly file: string; readonly page: number }
  | { readonly kind: "fsync" | "fdrop"; readonly file: string }
  // userfaultfd
  | { readonly kind: "uffd"; readonly mode: "sync" | "async" | "unpop" }
  | (Span & {
      readonly kind: "uffdreg";
      readonly missing: boolean;
      readonly wp: boolean;
      readonly minor: boolean;
      readonly at: number | undefined;
    })
  | (Span & { readonly kind: "uffdunreg" | "uffdzero" | "pscan" })
  | (Span & { readonly kind: "uffdwp"; readonly on: boolean })
  | { readonly kind: "uffdcopy"; readonly page: number; readonly wp: boolean }
  | { readonly kind: "uffdmove"; readonly destination: number; readonly start: number; readonly pages: number }
  // Pins, notifiers, the rest of the system
  | (Span & { readonly kind: "pin" })
  | (Span & { readonly kind: "migratevma" })
  | { readonly kind: "exclusive"; readonly page: number }
  | { readonly kind: "unpin" | "closevm" | "openvm" | "ksmrun" | "swapoff" | "swapon" | "sync" | "drop" }
  | { readonly kind: "ksm"; readonly what: "merge" | "unmerge" }
  | { readonly kind: "khuge" | "wait"; readonly milliseconds: number }
  | (Span & { readonly kind: "spin"; readonly milliseconds: number; readonly write: boolean })
  | { readonly kind: "sysfs"; readonly path: string; readonly value: string }
  // Devices
  | (Span & {
      readonly kind: "device-access";
      readonly device: string;
      readonly write: boolean;
      readonly value: number | undefined;
    });

/** The ops of one kind. */
export type OpOf<K extends Op["kind"]> = Op extends infer O
  ? O extends { readonly kind: infer Kind }
    ? K extends Kind
      ? O
      : never
    : never
  : never;

/** madvise() advice by name; the numbers are Linux's. */
export const ADVICE: Readonly<Record<string, number>> = {
  normal: 0,
  random: 1,
  sequential: 2,
  willneed: 3,
  dontneed: 4,
  free: 8,
  remove: 9,
  dontfork: 10,
  dofork: 11,
  mergeable: 12,
  unmergeable: 13,
  hugepage: 14,
  nohugepage: 15,
  dontdump: 16,
  dodump: 17,
  wipeonfork: 18,
  keeponfork: 19,
  cold: 20,
  pageout: 21,
  populate_read: 22,
  populate_write: 23,
  dontneed_locked: 24,
  collapse: 25,
  hwpoison: 100,
  soft_offline: 101,
  guard_install: 102,
  guard_remove: 103,
  /** No such advice: EINVAL. */
  bogus: 77,
};

import { ARENA_BASE, type Op, type OpOf, type Script, type Statement, storedByte } from "@mmu-notifier/script";
import { OracleOpError } from "./errors.js";

const PAGE = 4096;
/** The interpreter keeps signals and residency for this many pages. */
const MOST_PAGES = 8192 + 64;

const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x100;
const MAP_STACK = 0x2_0000;
const MAP_LOCKED = 0x2000;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const MAP_HUGETLB = 0x4_0000;
const MAP_FIXED_NOREPLACE = 0x10_0000;
const PLACEMENT = { fixed: MAP_FIXED, noreplace: MAP_FIXED_NOREPLACE, hint: 0 } as const;

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MREMAP_DONTUNMAP = 4;
const MSYNC = { async: 1, inval: 2, sync: 4 } as const;
const MLOCK_ONFAULT = 1;
const MPOL_BIND = 2;
const MPOL_MF_MOVE = 2;
const POSIX_FADV_DONTNEED = 4;
const FALLOCATE = { fpunch: 0x03, fzero: 0x11, fcollapse: 0x08 } as const;

const IORING_REGISTER_BUFFERS = 0;
const IORING_UNREGISTER_BUFFERS = 1;

const UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1 << 0;
const UFFD_FEATURE_SIGBUS = 1 << 7;
const UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;
const UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
const UFFD_FEATURE_WP_ASYNC = 1 << 15;
const UFFD_FEATURE_MOVE = 1 << 16;
const UFFD_MODES = {
  sync: 0,
  async: UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
  unpop: UFFD_FEATURE_WP_UNPOPULATED,
} as const;
const UFFDIO_REGISTER = 0xc020_aa00;
const UFFDIO_UNREGISTER = 0x8010_aa01;
const UFFDIO_COPY = 0xc028_aa03;
const UFFDIO_ZEROPAGE = 0xc020_aa04;
const UFFDIO_MOVE = 0xc028_aa05;
const UFFDIO_WRITEPROTECT = 0xc018_aa06;
const PAGEMAP_SCAN = 0xc060_6610;
const PM_SCAN_WP_MATCHING = 1;
const PM_SCAN_CHECK_WPASYNC = 2;
const PAGE_IS_WRITTEN = 2;

/** What the ops of a script have to know beside themselves. */
export interface Needs {
  /** The features of a userfaultfd of this mode. */
  readonly uffdFeatures: (mode: keyof typeof UFFD_MODES) => number;
  /** The oracle's own swap file; "" when it has none. */
  readonly swapFile: string;
}

/** What a script asks of the userfaultfd: moving pages is a feature that older kernels refuse to hear of. */
export function uffdFeatures(script: Script): Needs["uffdFeatures"] {
  const move = script.statements.some(({ op }) => op.kind === "uffdmove") ? UFFD_FEATURE_MOVE : 0;
  return (mode) =>
    UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | move | UFFD_MODES[mode];
}

const address = (page: number): number => ARENA_BASE + page * PAGE;
/** All digits: above 2^53 a number's own text ends in zeros. */
const exact = (value: string | number): string => (typeof value === "number" ? BigInt(value).toString() : value);
const call = (...words: readonly (string | number)[]): string => `call ${words.map(exact).join(" ")}`;
const words = (...values: readonly (string | number)[]): string => `w:${values.map(exact).join(",")}`;
const place = (pages: number): string => `> place ${pages * PAGE}`;
const range = ({ start, pages }: { readonly start: number; readonly pages: number }): readonly [number, number] => [
  address(start),
  pages * PAGE,
];

/** Bytes from the arena's base as an address, however large: a 64-bit register wraps. */
function byteAddress(bytes: number): string {
  return BigInt.asUintN(64, BigInt(ARENA_BASE) + BigInt(bytes)).toString();
}

/** One op as the interpreter takes it: a system call with ready arguments, or one of the few ops that need more. */
export function encodeOp(statement: Statement, script: Script, needs: Needs): string {
  const { op } = statement;
  const refuse = (why: string): never => {
    throw new OracleOpError(script.file, statement.position.line, statement.text, why);
  };
  if (op.kind === "exit" && statement !== script.statements.at(-1)) refuse("nothing can come after it");
  const line = encode(op, storedByte(statement), needs, refuse);
  const child = "child" in op && op.kind !== "fork" && op.kind !== "reap" && op.kind !== "mrelease" ? op.child : -1;
  return child < 0 ? line : `child ${child} ${line}`;
}

function encode(op: Op, value: number, needs: Needs, refuse: (why: string) => never): string {
  const few = <T extends { readonly pages: number }>(span: T): T =>
    span.pages <= MOST_PAGES ? span : refuse(`at most ${MOST_PAGES} pages`);
  switch (op.kind) {
    case "map":
      return map(op);
    case "mapx":
      return call(
        "mmap",
        byteAddress(op.addressBytes),
        op.lengthBytes,
        op.prot,
        op.mapFlags,
        op.file === undefined ? -1 : `fd:${op.file}`,
        op.offsetBytes,
        `> place ${op.lengthBytes}`,
      );
    case "unmap":
      return call("munmap", ...range(op));
    case "unmapx":
      return call("munmap", byteAddress(op.addressBytes), op.lengthBytes);
    case "protect":
      return call("mprotect", ...range(op), op.prot);
    case "protectx":
      return call("mprotect", byteAddress(op.addressBytes), op.lengthBytes, op.prot);
    case "remap":
      return remap(op);
    case "advise":
      return call("madvise", ...range(op), op.advice);
    case "advisex":
      return call("madvise", byteAddress(op.addressBytes), op.lengthBytes, op.advice);
    case "padvise":
      return call("process_madvise", "fd::self", words(...op.ranges.flatMap(range)), op.ranges.length, op.advice, 0);
    case "mlock":
      return op.onFault ? call("mlock2", ...range(op), MLOCK_ONFAULT) : call("mlock", ...range(op));
    case "munlock":
      return call("munlock", ...range(op));
    case "mseal":
      return call("mseal", ...range(op), 0);
    case "msync":
      return call("msync", ...range(op), MSYNC[op.how]);
    case "mincore":
      return call("mincore", ...range(few(op)), "vector", op.pages < 512 ? `> bits ${op.pages}` : "");
    case "mbind":
      return op.policy === "bind"
        ? call("mbind", ...range(op), MPOL_BIND, words(2 ** op.node), 65, MPOL_MF_MOVE)
        : call("mbind", ...range(op), 0, 0, 0, MPOL_MF_MOVE);
    case "movepages":
      return movePages(op, refuse);
    case "rfp":
      return call("remap_file_pages", ...range(op), 0, op.pgoff, 0);
    case "clearrefs":
      return call("write", "fd::refs", `s:${op.what}`, String(op.what).length);
    case "access":
      return access(op, op.value ?? value, few);
    case "kread":
      return `kread ${address(op.page)}`;
    case "kwrite":
      return `kwrite ${address(op.page)} ${value}`;
    case "pmread":
      return call("pread64", "fd::mem", "buffer=0", 1, address(op.page), "> byte");
    case "pmwrite":
      return call("pwrite64", "fd::mem", `buffer=${value}`, 1, address(op.page));
    case "pvread":
      return call("process_vm_readv", "self", words("buffer", 1), 1, words(address(op.page), 1), 1, 0);
    case "pvwrite":
      return `${call("process_vm_writev", "self", words("buffer", 1), 1, words(address(op.page), 1), 1, 0)} > fill ${value}`;
    case "fork":
    case "reap":
    case "mrelease":
      return `${op.kind} ${op.child}`;
    case "cexec":
      return "exec";
    case "ckvm":
    case "openvm":
      return "openvm";
    case "closevm":
      return "closevm";
    case "create":
      if (op.file === "dax") refuse("it needs a file system on persistent memory");
      return `make ${op.file} ${op.name} ${op.pages} ${op.fill ? op.pages : 0}`;
    case "ftrunc":
      return call("ftruncate", `fd:${op.file}`, op.pages * PAGE);
    case "fpunch":
    case "fzero":
    case "fcollapse":
      return call("fallocate", `fd:${op.file}`, FALLOCATE[op.kind], op.start * PAGE, op.pages * PAGE);
    case "fwrite":
      return call("pwrite64", `fd:${op.file}`, `buffer=${value}`, 1, op.page * PAGE);
    case "fread":
      return call("pread64", `fd:${op.file}`, "buffer=0", 1, op.page * PAGE, "> byte");
    case "fsync":
      return call("fsync", `fd:${op.file}`);
    case "fdrop":
      return call("fadvise64", `fd:${op.file}`, 0, 0, POSIX_FADV_DONTNEED);
    case "uffd":
      return `uffd ${needs.uffdFeatures(op.mode)}`;
    case "uffdreg":
      return uffd(UFFDIO_REGISTER, ...range(op), (op.missing ? 1 : 0) | (op.wp ? 2 : 0) | (op.minor ? 4 : 0), 0);
    case "uffdunreg":
      return uffd(UFFDIO_UNREGISTER, ...range(op));
    case "uffdwp":
      return uffd(UFFDIO_WRITEPROTECT, ...range(op), op.on ? 1 : 0);
    case "uffdzero":
      return uffd(UFFDIO_ZEROPAGE, ...range(op), 0, 0);
    case "uffdcopy":
      return `${uffd(UFFDIO_COPY, address(op.page), "buffer", PAGE, op.wp ? 2 : 0, 0)} > fill ${value}`;
    case "uffdmove":
      return uffd(UFFDIO_MOVE, address(op.destination), address(op.start), op.pages * PAGE, 0, 0);
    case "pscan":
      return pagemapScan(op);
    case "pin":
      return call("io_uring_register", "fd::ring", IORING_REGISTER_BUFFERS, words(...range(op)), 1);
    case "unpin":
      return call("io_uring_register", "fd::ring", IORING_UNREGISTER_BUFFERS, 0, 0);
    case "ksmrun":
      return "ksmrun";
    case "khuge":
      return `khuge ${op.milliseconds}`;
    case "wait":
      return `sleep ${op.milliseconds}`;
    case "swapoff":
    case "swapon":
      return needs.swapFile === ""
        ? refuse("the swap file could not be made")
        : call(op.kind, `s:${needs.swapFile}`, 0);
    case "sync":
      return call("sync");
    case "exit":
      return "exit";
    case "drop":
      return call("write", "fd::drop", "s:1", 1);
    case "ksm":
      return refuse("ksmd works on the whole machine; ksmrun waits for it");
    case "exclusive":
    case "migratevma":
      return refuse("only a device driver can ask for it");
    case "spin":
      return refuse("NUMA balancing needs a second node, and when it looks at a page is up to time");
    case "sysfs":
      return refuse("a setting of the whole machine would change for every other process as well");
    case "device-access":
      return refuse("devices exist in the model only");
  }
}

function map(op: OpOf<"map">): string {
  const { backing } = op;
  const flags =
    (op.shared ? MAP_SHARED : MAP_PRIVATE) |
    PLACEMENT[op.placement] |
    (backing.kind === "file" ? 0 : MAP_ANONYMOUS) |
    (backing.kind === "huge" ? MAP_HUGETLB : 0) |
    (op.populate ? MAP_POPULATE : 0) |
    (op.locked ? MAP_LOCKED : 0) |
    (op.noreserve ? MAP_NORESERVE : 0) |
    (op.growsdown ? MAP_GROWSDOWN : 0) |
    (op.stack ? MAP_STACK : 0);
  const file = backing.kind === "file" ? `fd:${backing.name}` : -1;
  return call("mmap", ...range(op), op.prot, flags, file, op.offset * PAGE, place(op.pages));
}

function remap(op: OpOf<"remap">): string {
  const flags =
    (op.mayMove ? MREMAP_MAYMOVE : 0) | (op.fixed ? MREMAP_FIXED : 0) | (op.dontUnmap ? MREMAP_DONTUNMAP : 0);
  const to = op.fixed ? address(op.destination) : 0;
  return call("mremap", ...range(op), op.newPages * PAGE, flags, to, place(op.newPages));
}

/** The interpreter's structures hold this many words. */
const MOST_WORDS = 24;

function movePages(op: OpOf<"movepages">, refuse: (why: string) => never): string {
  if (op.pages > MOST_WORDS) refuse(`at most ${MOST_WORDS} pages`);
  const pages = Array.from({ length: op.pages }, (_, i) => address(op.start + i));
  const ints = (value: number): string => `i:${pages.map(() => value).join(",")}`;
  return call("move_pages", 0, op.pages, words(...pages), ints(op.node), ints(-999), MPOL_MF_MOVE, "> status");
}

function access(op: OpOf<"access">, value: number, few: (op: OpOf<"access">) => OpOf<"access">): string {
  const how = op.write ? "store" : "load";
  if (op.mode === "one") return `${how} ${address(op.start)} ${value & 0xff}`;
  return `sweep ${how} ${address(few(op).start)} ${op.pages} ${op.mode} ${value & 0xff}`;
}

function uffd(request: number, ...structure: readonly (string | number)[]): string {
  return call("ioctl", "fd::uffd", request, words(...structure));
}

/** PAGEMAP_SCAN that write-protects what was written; the regions that it finds go to the vector. */
function pagemapScan(op: OpOf<"pscan">): string {
  const [start, length] = range(op);
  const flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
  const structure = [96, flags, start, start + length, 0, "vector", 1024, 0, 0, PAGE_IS_WRITTEN, 0, PAGE_IS_WRITTEN];
  return call("ioctl", "fd::pagemap", PAGEMAP_SCAN, words(...structure));
}

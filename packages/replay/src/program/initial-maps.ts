import {
  type Kernel,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  sysMmap,
  sysMprotect,
  type Thread,
} from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import type { VmaRecord } from "../read/trace-record.js";
import type { BackingFiles } from "./backing-files.js";

const PAGE = 4096;

/** A fault that happened before a process's mappings were listed. */
export interface EarlyFault {
  /** Page number. */
  readonly vpn: number;
  readonly write: boolean;
  /** Taken in the kernel. */
  readonly kernel: boolean;
}

/** What is known of a process when its mappings are listed. */
export interface InitialState {
  readonly vmas: readonly VmaRecord[];
  /** In order, since the program was loaded. */
  readonly faults: readonly EarlyFault[];
  /** End of the first page of the heap and the break, in bytes; absent when the program did not ask. */
  readonly brk: { readonly start: number; readonly now: number } | undefined;
}

function protOf(prot: string): number {
  return (prot[0] === "r" ? PROT_READ : 0) | (prot[1] === "w" ? PROT_WRITE : 0) | (prot[2] === "x" ? PROT_EXEC : 0);
}

/** Anonymous memory of the kernel's own making counts as anonymous; [vvar] and [vdso] are mapped like files and never written. */
function isAnonymous(path: string): boolean {
  return path === "-" || path === "" || path === "[heap]" || path === "[stack]" || path.startsWith("[anon");
}

/**
 * Makes the address space that a MAPS block lists, and the page states that the faults before it leave. Mappings that were
 * written and are read-only now (the relocated part of a library) are writable at first and protected at the end, as the
 * dynamic loader does, so that the VMAs share their anon_vma as in the kernel.
 *
 * The top of the stack, from its lowest early kernel fault on, counts as written: execve() put the arguments there without a
 * fault.
 */
export function* buildAddressSpace(
  k: Kernel,
  t: Thread,
  state: InitialState,
  files: BackingFiles,
  access: (vpn: number, write: boolean) => Path<number>,
): Path {
  const top = (k.tables.pages * PAGE) / 2;
  const vmas = state.vmas.filter(({ end }) => end <= top);
  const written = (vma: VmaRecord): boolean =>
    state.faults.some(({ vpn, write }) => write && vpn * PAGE >= vma.start && vpn * PAGE < vma.end);
  for (const vma of vmas) {
    const { start, end, offset, path } = vma;
    const anonymous = isAnonymous(path);
    const shared = vma.prot[3] === "s";
    const file = anonymous ? 0 : files.named(path, offset + end - start);
    const flags =
      MAP_FIXED |
      (shared ? MAP_SHARED : MAP_PRIVATE) |
      (anonymous ? MAP_ANONYMOUS : 0) |
      (path === "[stack]" ? MAP_GROWSDOWN : 0);
    const prot = protOf(vma.prot) | (!shared && written(vma) ? PROT_WRITE : 0);
    yield* sysMmap(k, t, { address: start, length: end - start, prot, flags, file, offset: anonymous ? 0 : offset });
  }
  for (const { vpn, write } of state.faults) {
    if (vmas.some(({ start, end }) => vpn * PAGE >= start && vpn * PAGE < end)) yield* access(vpn, write);
  }
  const { brk } = state;
  if (brk !== undefined) {
    yield step("mm->brk", () => {
      k.mms.setBrk(t.mm, Math.ceil(brk.start / PAGE), brk.now);
      return 0;
    });
  }
  const stack = vmas.find(({ path }) => path === "[stack]");
  yield step("mm->mmap_base", () => {
    // The dynamic loader was the first to be mapped, at the top.
    const below = vmas.filter(({ end }) => stack === undefined || end <= stack.start);
    const base = Math.max(0, ...below.map(({ end }) => end));
    if (base > 0) k.mms.setMmapBase(t.mm, Math.ceil(base / PAGE));
    return 0;
  });
  if (stack !== undefined) yield* writeArguments(stack, state.faults, access);
  for (const vma of vmas) {
    const wanted = protOf(vma.prot);
    if (vma.prot[3] === "p" && written(vma) && (wanted & PROT_WRITE) === 0)
      yield* sysMprotect(k, t, vma.start, vma.end - vma.start, wanted);
  }
}

function* writeArguments(
  stack: VmaRecord,
  faults: readonly EarlyFault[],
  access: (vpn: number, write: boolean) => Path<number>,
): Path {
  const end = stack.end / PAGE;
  let first = end - 1;
  for (const { vpn, kernel } of faults) if (kernel && vpn * PAGE >= stack.start && vpn < first) first = vpn;
  for (let vpn = first; vpn < end; vpn++) yield* access(vpn, true);
}

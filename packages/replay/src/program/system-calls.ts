import {
  EEXIST,
  ENOMEM,
  type Kernel,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  sysBrk,
  sysMadvise,
  sysMmap,
  sysMprotect,
  sysMremap,
  sysMsync,
  sysMunmap,
  type Thread,
} from "@mmu-notifier/core";
import { type Path, type Step, step } from "@mmu-notifier/steps";
import type { CallRecord } from "../read/trace-record.js";
import type { BackingFiles } from "./backing-files.js";

const PAGE = 4096;
/** Bits above it ask for another size than 2 MiB. */
const MAP_HUGE_SHIFT = 26;

/** A system call of a trace with what it returned. */
export interface FinishedCall {
  readonly name: string;
  readonly args: readonly number[];
  /** An address, 0, or -errno. */
  readonly result: number;
}

/** A call and its return, as one. */
export function finishedCall(call: CallRecord, result: number): FinishedCall {
  return { name: call.name, args: call.args, result };
}

/** Where the calls of a process act. */
export interface CallContext {
  readonly k: Kernel;
  readonly t: Thread;
  readonly pid: number;
  readonly files: BackingFiles;
}

type Replay = (context: CallContext, args: readonly number[], result: number) => Path<number>;

const at = (args: readonly number[], index: number): number => args[index] ?? 0;

/** mmap places the mapping where the trace's kernel did. */
function* mmap({ k, t, pid, files }: CallContext, args: readonly number[], result: number): Path<number> {
  const [length, prot, flags, descriptor, offset] = [at(args, 1), at(args, 2), at(args, 3), at(args, 4), at(args, 5)];
  const hugetlb = (flags & MAP_ANONYMOUS) !== 0 && (flags & MAP_HUGETLB) !== 0;
  if (hugetlb) yield sizePool(k, result < 0 ? 0 : Math.ceil(length / PAGE / k.tables.hugePages));
  // Huge pages that are not to be had are refused after a place was found, and what is undone there is notified.
  if (hugetlb && result === -ENOMEM && flags >>> MAP_HUGE_SHIFT === 0)
    return yield* sysMmap(k, t, { address: at(args, 0), length, prot, flags });
  if (result < 0) return result;
  const file =
    (flags & MAP_ANONYMOUS) !== 0 ? 0 : files.mapped(pid, descriptor, result, result + length, offset + length);
  const request = { address: result, length, prot, file, offset };
  if ((flags & MAP_FIXED) !== 0) return yield* sysMmap(k, t, { ...request, flags });
  const placed = yield* sysMmap(k, t, { ...request, flags: flags | MAP_FIXED_NOREPLACE });
  // The model still has something there that the trace's kernel had not: the program's view wins.
  if (placed === -EEXIST)
    return yield* sysMmap(k, t, { ...request, flags: (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED });
  return placed;
}

/** The trace does not say how many huge pages its kernel had: as many as it gave, and none when it refused. */
function sizePool({ hugetlb }: Kernel, pages: number): Step {
  return step("nr_hugepages", () => {
    while (hugetlb.free - hugetlb.reserved > pages) hugetlb.take(false);
    while (hugetlb.free - hugetlb.reserved < pages) hugetlb.giveBack();
    return 0;
  });
}

function mremap({ k, t }: CallContext, args: readonly number[], result: number): Path<number> {
  const [old, oldLength, newLength, flags, target] = [at(args, 0), at(args, 1), at(args, 2), at(args, 3), at(args, 4)];
  const moved = result >= 0 && result !== old && (flags & MREMAP_FIXED) === 0;
  if (moved) return sysMremap(k, t, old, oldLength, newLength, flags | MREMAP_MAYMOVE | MREMAP_FIXED, result);
  // A mapping that grew where it was must not be moved away.
  const stayed = result === old ? flags & ~MREMAP_MAYMOVE : flags;
  return sysMremap(k, t, old, oldLength, newLength, stayed, target);
}

/** The trace does not say how long a System V segment is: one page, which is what PostgreSQL's lock segment has. */
function* shmat({ k, t }: CallContext, _args: readonly number[], result: number): Path<number> {
  if (result < 0) return result;
  const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  return yield* sysMmap(k, t, { address: result, length: PAGE, prot: PROT_READ | PROT_WRITE, flags });
}

const REPLAYS: Readonly<Record<string, Replay>> = {
  mmap,
  mremap,
  munmap: ({ k, t }, args) => sysMunmap(k, t, at(args, 0), at(args, 1)),
  mprotect: ({ k, t }, args) => sysMprotect(k, t, at(args, 0), at(args, 1), at(args, 2)),
  madvise: ({ k, t }, args) => sysMadvise(k, t, at(args, 0), at(args, 1), at(args, 2)),
  msync: ({ k, t }, args) => sysMsync(k, t, at(args, 0), at(args, 1), at(args, 2)),
  shmat,
  shmdt: ({ k, t }, args) => sysMunmap(k, t, at(args, 0), PAGE),
  brk: ({ k, t }, args) => sysBrk(k, t, at(args, 0)),
};

/** True for calls whose effect on the address space the model replays. */
export function isReplayed(name: string): boolean {
  return Object.hasOwn(REPLAYS, name);
}

/** Makes a call of a trace in the model. */
export function replayCall(context: CallContext, { name, args, result }: FinishedCall): Path<number> {
  return REPLAYS[name]!(context, args, result);
}

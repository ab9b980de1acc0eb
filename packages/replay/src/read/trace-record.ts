/** When and who: the first three fields of every line of a program trace. */
interface Stamp {
  /** Line of the file, from 1. */
  readonly line: number;
  /** Microseconds since the start of the recording. */
  readonly time: number;
  /** Thread. */
  readonly tid: number;
  /** Process, which is the id of its first thread. */
  readonly tgid: number;
}

/** A page fault: `F` taken in user mode, `FK` taken in the kernel on a user address. */
export interface FaultRecord extends Stamp {
  readonly kind: "fault";
  readonly kernel: boolean;
  /** Bytes. */
  readonly address: number;
  /** x86 error code: 1 present, 2 write, 4 user mode, 16 instruction fetch. */
  readonly code: number;
}

/** `N`: an invalidate_range_start the kernel called, [start, end) in bytes. */
export interface NotifyRecord extends Stamp {
  readonly kind: "notify";
  readonly start: number;
  readonly end: number;
}

/** `A`: a clear-young callback, [start, end) in bytes. */
export interface AgeRecord extends Stamp {
  readonly kind: "age";
  readonly start: number;
  readonly end: number;
}

/** `T`: a flush of the CPU's TLB; pages is -1 for all of it. */
export interface FlushRecord extends Stamp {
  readonly kind: "flush";
  readonly pages: number;
  readonly reason: number;
}

/** `S`: a system call entered. */
export interface CallRecord extends Stamp {
  readonly kind: "call";
  readonly name: string;
  readonly args: readonly number[];
}

/** `R`: a system call returned; result is an address, 0, or -errno. */
export interface ReturnRecord extends Stamp {
  readonly kind: "return";
  readonly name: string;
  readonly result: number;
}

/** `NEW`: a clone; flags are the CLONE_ flags. */
export interface NewRecord extends Stamp {
  readonly kind: "new";
  readonly child: number;
  readonly flags: number;
}

/** `EXEC`: a program was loaded. */
export interface ExecRecord extends Stamp {
  readonly kind: "exec";
  readonly file: string;
  readonly oldTid: number;
}

/** `EXIT`: a thread ended; last says that its process did. */
export interface ExitRecord extends Stamp {
  readonly kind: "exit";
  readonly last: boolean;
}

/** `MAPS`: the mappings of a process follow as {@link VmaRecord}s; from here on its notifications are recorded. */
export interface MapsRecord extends Stamp {
  readonly kind: "maps";
  readonly recorded: boolean;
}

/** `V`: one mapping of /proc/PID/maps. */
export interface VmaRecord extends Stamp {
  readonly kind: "vma";
  /** Bytes, half open. */
  readonly start: number;
  readonly end: number;
  /** As in `rw-p`. */
  readonly prot: string;
  /** Bytes. */
  readonly offset: number;
  /** Path, `[stack]` and the like, or `-` for anonymous memory. */
  readonly path: string;
}

/**
 * One line of a program trace.
 *
 * @public
 */
export type TraceRecord =
  | FaultRecord
  | NotifyRecord
  | AgeRecord
  | FlushRecord
  | CallRecord
  | ReturnRecord
  | NewRecord
  | ExecRecord
  | ExitRecord
  | MapsRecord
  | VmaRecord;

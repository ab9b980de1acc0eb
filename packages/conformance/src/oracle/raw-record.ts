/** What the interpreter prints of one op; the names are short because there are many. */
export interface RawRecord {
  readonly r: RawResult;
  readonly t: readonly RawEvent[];
  readonly v: readonly RawVma[];
  readonly p: readonly RawPages[];
  /** The kernel dropped trace events of this op. */
  readonly lost?: 1;
}

export interface RawResult {
  readonly ret?: number;
  readonly err?: string;
  readonly val?: number | string;
  readonly sig?: number;
  readonly code?: number;
  readonly addr?: number;
  readonly sum?: number;
  readonly sigs?: readonly (readonly [index: number, signal: number, code: number])[];
  readonly status?: number;
  /** Process id of a new child. */
  readonly child?: number;
  /** The child that was asked has died. */
  readonly dead?: 1;
}

/** A trace event: who caused it, and the event with its text. */
export type RawEvent = readonly [pid: number, text: string];

export type RawVma = readonly [
  start: number,
  end: number,
  rights: string,
  offset: number,
  backing: string,
  vmFlags: string,
];

/** Pages in a row that look the same and whose frames follow one another. */
export type RawPages = readonly [
  first: number,
  pages: number,
  /** Bits 55 to 63 of pagemap. */
  pagemap: number,
  /** PAGE_IS_ categories of PAGEMAP_SCAN. */
  categories: number,
  kpageflags: number,
  pfn: number,
  mapcount: number,
];

/** The end of a script's process: its exit status, or minus the signal. */
export interface RawExit {
  readonly exit: number;
  /** Pages that compaction looked at meanwhile, whoever caused it. */
  readonly compacted: number;
  readonly t: readonly RawEvent[];
}

/** What one script came to, as printed. */
export interface RawRun {
  /** The script's process. */
  readonly pid: number;
  readonly records: readonly RawRecord[];
  readonly exit: RawExit;
}

import { MAP_ANONYMOUS, MAP_SHARED } from "@mmu-notifier/core";
import type { CallRecord, FaultRecord, TraceRecord } from "../read/trace-record.js";

const BLOCK = 2 ** 21;
/** log2 of the pages of a block. */
const BLOCK_ORDER = 9;
const PAGE = 4096;
const PF_PRESENT = 1;

/** A shared file mapping in which a folio of 2 MiB can be mapped by one entry. */
interface Mapping {
  readonly tgid: number;
  readonly start: number;
  readonly end: number;
}

/** Pages of a block that were faulted, by whether an entry was there. */
interface Block {
  readonly missing: Set<number>;
  readonly present: Set<number>;
}

/**
 * Finds out whether the files of a trace were in folios of 2 MiB, which a trace does not say: such a folio is mapped by one fault, so no
 * second page of its block is ever missing, and yet others are found there. Only faults are looked at, never notifications, and only
 * shared mappings: a library is mapped whole and then piece by piece over it.
 */
export class FolioProbe {
  readonly #mappings: Mapping[] = [];
  readonly #calls = new Map<number, CallRecord>();
  readonly #blocks = new Map<string, Block>();

  next(record: TraceRecord): void {
    if (record.kind === "fault") return this.#fault(record);
    if (record.kind === "vma" && record.prot[3] === "s" && record.path.startsWith("/"))
      return this.#map(record.tgid, record.start, record.end, record.offset);
    if (record.kind === "call" && record.name === "mmap") this.#calls.set(record.tid, record);
    if (record.kind !== "return" || record.name !== "mmap" || record.result < 0) return;
    const { args } = this.#calls.get(record.tid) ?? {};
    if (args === undefined || (args[3]! & (MAP_SHARED | MAP_ANONYMOUS)) !== MAP_SHARED) return;
    this.#map(record.tgid, record.result, record.result + args[1]!, args[5] ?? 0);
  }

  /** Order of the folios: 0 when a block shows base pages, or none shows anything. */
  get order(): number {
    const blocks = [...this.#blocks.values()];
    if (blocks.some(({ missing }) => missing.size > 1)) return 0;
    const oneEntry = blocks.some(({ missing, present }) => [...present].some((page) => !missing.has(page)));
    return oneEntry ? BLOCK_ORDER : 0;
  }

  #map(tgid: number, start: number, end: number, offset: number): void {
    if ((start - offset) % BLOCK === 0 && end - start >= BLOCK) this.#mappings.push({ tgid, start, end });
  }

  #fault({ tgid, address, code }: FaultRecord): void {
    const base = Math.floor(address / BLOCK) * BLOCK;
    const inside = ({ tgid: owner, start, end }: Mapping): boolean =>
      owner === tgid && base >= start && base + BLOCK <= end;
    if (!this.#mappings.some(inside)) return;
    const key = `${tgid} ${base}`;
    let block = this.#blocks.get(key);
    if (block === undefined) this.#blocks.set(key, (block = { missing: new Set(), present: new Set() }));
    ((code & PF_PRESENT) === 0 ? block.missing : block.present).add(Math.floor(address / PAGE));
  }
}

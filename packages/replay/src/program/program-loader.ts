import type { MapsRecord, VmaRecord } from "../read/trace-record.js";
import type { EarlyFault, InitialState } from "./initial-maps.js";

/** Early kernel faults that may belong to the program being loaded. */
const EARLY_KERNEL_FAULTS = 64;

/** A program whose mappings are known now. */
export interface LoadedProgram extends InitialState {
  readonly pid: number;
  readonly program: string;
  readonly recorded: boolean;
  /** Line of its MAPS block. */
  readonly line: number;
}

interface Loading {
  program: string;
  faults: EarlyFault[];
  brk: { readonly start: number; readonly now: number } | undefined;
}

/** Collects what a trace tells of processes before it lists their mappings. */
export class ProgramLoader {
  readonly #loading = new Map<number, Loading>();
  #maps: MapsRecord | undefined;
  #vmas: VmaRecord[] = [];

  fault(pid: number, fault: EarlyFault): void {
    this.#of(pid).faults.push(fault);
  }

  /** brk() returned `result`; the first result is where the heap starts. */
  brk(pid: number, result: number): void {
    const loading = this.#of(pid);
    loading.brk = { start: loading.brk?.start ?? result, now: result };
  }

  /** A program was loaded. What the kernel wrote just before was its arguments. */
  exec(pid: number, program: string): void {
    const faults = this.#of(pid)
      .faults.filter(({ kernel }) => kernel)
      .slice(-EARLY_KERNEL_FAULTS);
    this.#loading.set(pid, { program, faults, brk: undefined });
  }

  /** A MAPS line. */
  maps(record: MapsRecord): void {
    this.#maps = record;
    this.#vmas = [];
  }

  /** A V line of the MAPS block. */
  vma(record: VmaRecord): void {
    this.#vmas.push(record);
  }

  /** The program whose MAPS block has just ended, once. */
  finished(): LoadedProgram | undefined {
    const maps = this.#maps;
    if (maps === undefined) return undefined;
    this.#maps = undefined;
    const { program, faults, brk } = this.#of(maps.tgid);
    this.#loading.delete(maps.tgid);
    return { pid: maps.tgid, program, recorded: maps.recorded, line: maps.line, vmas: this.#vmas, faults, brk };
  }

  #of(pid: number): Loading {
    let loading = this.#loading.get(pid);
    if (loading === undefined) this.#loading.set(pid, (loading = { program: "?", faults: [], brk: undefined }));
    return loading;
  }
}

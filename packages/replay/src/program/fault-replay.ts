import { decodeSignal, type Kernel, kernelAccess, ptePresent, type Thread, userAccess } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import type { FaultRecord } from "../read/trace-record.js";

const PAGE = 4096;

/** Bits of an x86 page-fault error code. */
const PF_PRESENT = 1;
const PF_WRITE = 2;
const PF_INSTR = 16;

/** A fault of the trace as an access. */
export interface FaultAccess {
  /** Page number. */
  readonly vpn: number;
  readonly access: "read" | "write" | "exec";
  /** The page was mapped, and the access not allowed. */
  readonly present: boolean;
  readonly kernel: boolean;
}

/** The access that took a fault. */
export function accessOf({ address, code, kernel }: FaultRecord): FaultAccess {
  const access = (code & PF_WRITE) !== 0 ? "write" : (code & PF_INSTR) !== 0 ? "exec" : "read";
  return { vpn: Math.floor(address / PAGE), access, present: (code & PF_PRESENT) !== 0, kernel };
}

/** The cause that notifications of a fault count for. */
export function causeOf({ access, present }: FaultAccess): string {
  if (access !== "write") return `${access} fault`;
  return present ? "write fault, page present" : "write fault, page not present";
}

/**
 * Makes the faults of a trace in the model: each is the access that took it.
 *
 * Which pages the kernel mapped around a faulting one (fault-around, large folios) is in no trace, but the error code of a later
 * fault tells whether the page was there. So the model maps only what was faulted, and a page that turns out to have been there
 * is read first.
 */
export class FaultReplay {
  replayed = 0;
  presumed = 0;
  notNeeded = 0;
  refused = 0;
  readonly #machine: Machine;
  readonly #k: Kernel;
  /** Faults that the kernel of the model has handled since the last one of the trace. */
  #handled = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#k = machine.kernel;
    this.#k.events.subscribe(({ kind }) => {
      if (kind === "page-fault") this.#handled++;
    });
  }

  /** Makes one fault; true when the access went through. */
  replay(t: Thread, fault: FaultAccess): boolean {
    const { vpn, access, present, kernel } = fault;
    this.replayed++;
    if (present && !this.#mapped(t.mm, vpn) && this.#access(t, vpn, "read", kernel)) this.presumed++;
    this.#handled = 0;
    const through = this.#access(t, vpn, access, kernel);
    if (!through) this.refused++;
    else if (this.#handled === 0) this.notNeeded++;
    return through;
  }

  #access(t: Thread, vpn: number, access: FaultAccess["access"], kernel: boolean): boolean {
    if (vpn >= this.#k.tables.pages) return false;
    const path =
      kernel && access !== "exec" ? kernelAccess(this.#k, t, vpn, access, 1) : userAccess(this.#k, t, vpn, access, 1);
    const result = this.#machine.run(path, access);
    return result >= 0 && decodeSignal(result) === undefined;
  }

  #mapped(mm: number, vpn: number): boolean {
    const ptep = this.#k.tables.leaf(this.#k.mms.pgd(mm), vpn);
    return ptep !== 0 && ptePresent(this.#k.tables.get(ptep));
  }
}

import { mmput, ptePfn, ptePresent } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import type { ReplayedProcess } from "./replayed-process.js";

/** An exited child whose memory went later than its EXIT line. */
export interface LateRelease {
  readonly pid: number;
  /** Line of the fault that showed that the memory was gone. */
  readonly line: number;
}

/**
 * The processes of a replay. A forked child's memory stays when its EXIT line comes: the kernel traces the exit before it
 * takes the address space down, and that may be scheduled much later. Until then its pages are shared, and a write of the parent
 * copies them. The trace shows the end of it by the first such write that is not notified; this one bit for each child is
 * taken from the trace, see {@link released}.
 */
export class ProcessTable {
  /** All processes ever, in order. */
  readonly all: ReplayedProcess[] = [];
  readonly released: LateRelease[] = [];
  readonly #machine: Machine;
  readonly #onRelease: (process: ReplayedProcess) => void;
  readonly #live = new Map<number, ReplayedProcess>();
  /** Forked children that have exited and still have their memory. */
  readonly #exited = new Set<ReplayedProcess>();

  constructor(machine: Machine, onRelease: (process: ReplayedProcess) => void) {
    this.#machine = machine;
    this.#onRelease = onRelease;
  }

  get(pid: number): ReplayedProcess | undefined {
    return this.#live.get(pid);
  }

  add(process: ReplayedProcess): void {
    this.all.push(process);
    this.#live.set(process.pid, process);
  }

  /** A child that works in its parent's memory until it execs: vfork(), posix_spawn(). */
  share(pid: number, parent: ReplayedProcess): void {
    this.#live.set(pid, parent);
  }

  /** The EXIT line of a process. */
  exit(pid: number): void {
    const process = this.#leave(pid);
    if (process === undefined) return;
    if (process.forked) this.#exited.add(process);
    else this.#release(process);
  }

  /** A process loads another program: its old memory goes at once. */
  exec(pid: number): void {
    const process = this.#leave(pid);
    if (process !== undefined) this.#release(process);
  }

  /** Whether any memory of an exited child is left. */
  get hasExited(): boolean {
    return this.#exited.size > 0;
  }

  /** A write to a page was not notified: exited children that still share that page are gone. */
  releaseSharersOf(mm: number, vpn: number, line: number): void {
    const pfn = this.#frame(mm, vpn);
    if (pfn === 0) return;
    for (const process of this.#exited) {
      if (this.#frame(process.space.mm, vpn) !== pfn) continue;
      this.released.push({ pid: process.pid, line });
      this.#exited.delete(process);
      this.#release(process);
    }
  }

  /** The end of the trace: what has exited goes. */
  end(): void {
    for (const process of this.#exited) this.#release(process);
    this.#exited.clear();
  }

  #leave(pid: number): ReplayedProcess | undefined {
    const process = this.#live.get(pid);
    this.#live.delete(pid);
    return process === undefined || [...this.#live.values()].includes(process) ? undefined : process;
  }

  #release(process: ReplayedProcess): void {
    this.#machine.run(mmput(this.#machine.kernel, process.space.thread), "exit");
    this.#onRelease(process);
    this.#machine.settle();
  }

  #frame(mm: number, vpn: number): number {
    const { tables, mms } = this.#machine.kernel;
    const ptep = tables.leaf(mms.pgd(mm), vpn);
    const pte = ptep === 0 ? 0 : tables.get(ptep);
    return ptePresent(pte) ? ptePfn(pte) : 0;
  }
}

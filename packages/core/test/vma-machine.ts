import {
  type Architecture,
  INODE_HUGETLB,
  type KernelConfig,
  MAP_FIXED,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysMmap,
  sysMprotect,
  sysMremap,
  sysMunmap,
  VM_EXEC,
  VM_READ,
  VM_WRITE,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { BASE, MmMachine } from "./mm-machine.js";

export { BASE } from "./mm-machine.js";

/** PROT_ bits of `rw`, `r`, `rwx`, `none`. */
export function prot(rights: string): number {
  return (
    (rights.includes("r") ? PROT_READ : 0) | (rights.includes("w") ? PROT_WRITE : 0) | (rights.includes("x") ? 4 : 0)
  );
}

/**
 * An {@link MmMachine} whose log has the CPUs' TLB flushes as well: `F 0-3`, `F all`. They are issued before the subscribers hear of
 * them, so on kernels that tell from the flush `F` comes first.
 */
export class VmaMachine extends MmMachine {
  readonly #timeline: string[] = [];

  constructor(profile: string, arch: Architecture["name"], config: Partial<KernelConfig> = {}) {
    super(profile, arch, { config });
    const names: Readonly<Record<string, string>> = {
      invalidate_range_start: "S",
      invalidate_range_end: "E",
      invalidate_range: "X",
      arch_invalidate_secondary_tlbs: "X",
      change_pte: "C",
      clear_flush_young: "Y",
      release: "R",
    };
    this.k.bus.calls.subscribe(({ call, start, end, event, onlyEnd }) => {
      const what = event === undefined ? "" : ` ${event.replace("MMU_NOTIFY_", "")}`;
      // change_pte is about one entry and gets its address only.
      const where = call === "change_pte" ? rangeOf(start, start + PAGE_SIZE) : rangeOf(start, end);
      this.#timeline.push(`${names[call] ?? call} ${where}${what}${onlyEnd === true ? " only" : ""}`);
    });
    this.k.events.subscribe((event) => {
      if (event.kind === "tlb-flush") {
        this.#timeline.push(event.pages < 0 ? "F all" : `F ${rangeOf(event.start * PAGE_SIZE, event.end * PAGE_SIZE)}`);
      }
    });
  }

  /** Runs a path and returns everything that happened, flushes included. */
  timeline(path: Path<unknown>): string[] {
    return this.heard(() => this.run(path));
  }

  /** The same for anything that runs paths itself. */
  heard(action: () => unknown): string[] {
    this.#timeline.length = 0;
    action();
    return [...this.#timeline];
  }

  /** mmap of a file at a fixed place, refused or not. */
  mapFile(file: number, page: number, pages: number): Path<number> {
    const flags = MAP_SHARED | MAP_FIXED;
    const request = { address: this.at(page), length: pages * PAGE_SIZE, prot: PROT_READ | PROT_WRITE, flags, file };
    return sysMmap(this.k, this.t, request);
  }

  unmap(page: number, pages: number): Path<number> {
    return sysMunmap(this.k, this.t, this.at(page), pages * PAGE_SIZE);
  }

  protect(page: number, pages: number, rights: string): Path<number> {
    return sysMprotect(this.k, this.t, this.at(page), pages * PAGE_SIZE, prot(rights));
  }

  remap(page: number, oldPages: number, newPages: number, flags: number, to = 0): Path<number> {
    return sysMremap(
      this.k,
      this.t,
      this.at(page),
      oldPages * PAGE_SIZE,
      newPages * PAGE_SIZE,
      flags,
      flags > 1 ? this.at(to) : 0,
    );
  }

  /** The VMAs: `0-4 rw`, `4-8 r`. */
  vmas(): string[] {
    const { vmas, mms } = this.k;
    const list = mms.vmaList(this.t.mm);
    return Array.from({ length: vmas.count(list) }, (_, i) => {
      const vma = vmas.at(list, i);
      const flags = vmas.flags(vma);
      const rights = `${(flags & VM_READ) !== 0 ? "r" : ""}${(flags & VM_WRITE) !== 0 ? "w" : ""}${(flags & VM_EXEC) !== 0 ? "x" : ""}`;
      return `${vmas.start(vma) - BASE}-${vmas.end(vma) - BASE} ${rights || "none"}`;
    });
  }

  hugetlbFile(pages: number): number {
    return this.k.files.open(this.k.files.createInode(INODE_HUGETLB, pages), 3);
  }
}

function rangeOf(start: number, end: number): string {
  if (start === 0 && !(end < 2 ** 63)) return "all";
  return `${start / PAGE_SIZE - BASE}-${end < 2 ** 63 ? end / PAGE_SIZE - BASE : "max"}`;
}

import {
  decodeSignal,
  type Kernel,
  MADV_HUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  mmput,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysFork,
  sysMadvise,
  sysMmap,
  sysMprotect,
  sysMremap,
  sysMunmap,
  userAccess,
} from "@mmu-notifier/core";
import type { AddressSpace, Machine } from "@mmu-notifier/machine";
import { ARENA_PAGE } from "@mmu-notifier/script";

/** What a mapping is made of. */
export interface Mapping {
  /** @defaultValue read and write */
  readonly prot?: number;
  /** @defaultValue private */
  readonly shared?: boolean;
  readonly hugetlb?: boolean;
  /** MADV_HUGEPAGE follows. */
  readonly huge?: boolean;
  /** Row of an open file. @defaultValue anonymous memory */
  readonly file?: number;
}

export const PROT_RW = PROT_READ | PROT_WRITE;

/** The CPU's side of a test: system calls and accesses of a process. Pages count from the test's buffer. */
export class TestProcess {
  readonly space: AddressSpace;
  readonly #machine: Machine;
  #children = 0;

  constructor(machine: Machine, space: AddressSpace) {
    this.#machine = machine;
    this.space = space;
  }

  get #k(): Kernel {
    return this.#machine.kernel;
  }

  map(first: number, pages: number, how: Mapping = {}): void {
    const { prot = PROT_RW, shared = false, hugetlb = false, huge = false, file } = how;
    const flags =
      MAP_FIXED |
      (shared ? MAP_SHARED : MAP_PRIVATE) |
      (file === undefined ? MAP_ANONYMOUS : 0) |
      (hugetlb ? MAP_HUGETLB : 0);
    const request = { address: bytes(ARENA_PAGE + first), length: bytes(pages), prot, flags };
    this.#call(sysMmap(this.#k, this.space.thread, file === undefined ? request : { ...request, file }));
    if (huge) this.advise(first, pages, MADV_HUGEPAGE);
  }

  protect(first: number, pages: number, prot: number): void {
    this.#call(sysMprotect(this.#k, this.space.thread, bytes(ARENA_PAGE + first), bytes(pages), prot));
  }

  unmap(first: number, pages: number): void {
    this.#call(sysMunmap(this.#k, this.space.thread, bytes(ARENA_PAGE + first), bytes(pages)));
  }

  advise(first: number, pages: number, advice: number): void {
    this.#call(sysMadvise(this.#k, this.space.thread, bytes(ARENA_PAGE + first), bytes(pages), advice));
  }

  move(from: number, pages: number, to: number, flags: number): void {
    const { thread } = this.space;
    const length = bytes(pages);
    this.#call(sysMremap(this.#k, thread, bytes(ARENA_PAGE + from), length, length, flags, bytes(ARENA_PAGE + to)));
  }

  /** Stores `value(page)` in each page. */
  fill(first: number, pages: number, value: (page: number) => number): void {
    for (let page = first; page < first + pages; page++) this.#access(page, "write", value(page));
  }

  /** What the CPU loads from each page. */
  read(first: number, pages: number): number[] {
    return Array.from({ length: pages }, (_, i) => this.#access(first + i, "read"));
  }

  fork(): TestProcess {
    const mm = this.#machine.run(sysFork(this.#k, this.space.thread), "fork");
    const name = `${this.space.name} child ${this.#children++}`;
    return new TestProcess(this.#machine, this.#machine.adopt(mm, { name }));
  }

  exit(): void {
    this.#machine.run(mmput(this.#k, this.space.thread), "exit");
  }

  #access(page: number, access: "read" | "write", value = 0): number {
    const result = this.#machine.run(userAccess(this.#k, this.space.thread, ARENA_PAGE + page, access, value), "cpu");
    if (decodeSignal(result) !== undefined) throw new Error(`${access} of page ${page} ended in a signal`);
    return result;
  }

  #call(path: ReturnType<typeof sysMunmap>): void {
    const result = this.#machine.run(path, "main");
    if (result < 0) throw new Error(`a system call of the test's set-up gave ${result}`);
  }
}

function bytes(pages: number): number {
  return pages * PAGE_SIZE;
}

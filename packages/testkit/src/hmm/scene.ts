import { INODE_DISK, FMODE_READ, FMODE_WRITE, sysPread, sysPwrite, PAGE_SIZE } from "@mmu-notifier/core";
import { createMachine, type Machine } from "@mmu-notifier/machine";
import type { AnySecondaryMmuDefinition, Binding, IntervalMirror } from "@mmu-notifier/sdk";
import { Dmirror } from "./dmirror.js";
import { TestProcess } from "./process.js";

/** A driver with an interval mirror, and how to get at the mirror of a binding. */
export interface HmmSubject {
  readonly driver: AnySecondaryMmuDefinition;
  readonly mirrorOf: (binding: Binding) => IntervalMirror;
}

/** One machine with a process, and devices on it as the test opens them. */
export class HmmScene {
  readonly machine: Machine;
  readonly process: TestProcess;
  readonly #subject: HmmSubject;
  #opened = 0;

  constructor(subject: HmmSubject, kernel: string, thp = false) {
    this.#subject = subject;
    this.machine = createMachine({ kernel, config: { thp: thp ? "madvise" : "never" } });
    this.process = new TestProcess(this.machine, this.machine.createProcess({ name: "test" }));
  }

  /** Opens a device for a process: /dev/hmm_dmirrorN. */
  open(process: TestProcess = this.process): Dmirror {
    const name = `dmirror${this.#opened++}`;
    const device = this.machine.attach(this.#subject.driver, { process: process.space, name });
    return new Dmirror(this.machine, process, device, this.#subject.mirrorOf(device.binding(process.space).binding));
  }

  /** A file of `pages` pages that holds `value(page)`. */
  file(pages: number, value: (page: number) => number): number {
    const { files } = this.machine.kernel;
    const file = files.open(files.createInode(INODE_DISK, pages), FMODE_READ | FMODE_WRITE);
    for (let page = 0; page < pages; page++)
      this.machine.run(sysPwrite(this.machine.kernel, this.process.space.thread, file, page * PAGE_SIZE, value(page)));
    return file;
  }

  /** What pread(2) reads from each page of a file. */
  pread(file: number, pages: number): number[] {
    const { kernel } = this.machine;
    return Array.from({ length: pages }, (_, page) =>
      this.machine.run(sysPread(kernel, this.process.space.thread, file, page * PAGE_SIZE)),
    );
  }

  close(): void {
    this.machine.close();
  }
}

import {
  FMODE_READ,
  FMODE_WRITE,
  INODE_SHMEM,
  MAP_FIXED,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysMmap,
} from "@mmu-notifier/core";
import { createMachine } from "@mmu-notifier/machine";
import type { AnySecondaryMmuDefinition } from "@mmu-notifier/sdk";
import driver from "./driver.js";

const PAGE = 0x2_0000_0000;

/** The NPU reads a page of shared memory and then writes it. What became of the write, and what it took. */
export function upgradeOn(
  kernel: string,
  definition: AnySecondaryMmuDefinition = driver,
): {
  readonly outcome: string;
  readonly faults: number;
  readonly commands: Readonly<Record<string, number>>;
} {
  const machine = createMachine({ kernel, arch: "arm64" });
  const { kernel: k } = machine;
  const process = machine.createProcess();
  const file = k.files.open(k.files.createInode(INODE_SHMEM, 4), FMODE_READ | FMODE_WRITE);
  const request = {
    address: PAGE * PAGE_SIZE,
    length: 4 * PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_SHARED | MAP_FIXED,
    file,
  };
  machine.run(sysMmap(k, process.thread, request));

  const npu = machine.attach(definition, { process, name: "npu0" });
  npu.access(PAGE, "read");
  const { outcome, faults } = npu.access(PAGE, "write", 7);
  return { outcome: outcome.kind, faults, commands: npu.report().commands };
}

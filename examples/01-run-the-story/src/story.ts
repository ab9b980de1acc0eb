import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  mmput,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysFork,
  sysMmap,
  userAccess,
} from "@mmu-notifier/core";
import smmu from "@mmu-notifier/driver-arm-smmu";
import { createMachine } from "@mmu-notifier/machine";

/** What became of the device's write. */
export interface Ending {
  readonly kernel: string;
  readonly outcome: string;
  readonly faults: number;
}

const PAGE = 0x2_0000_0000;

/**
 * A process writes a page and forks; the child exits; a device reads the page and then writes it. The kernel reuses the page: same
 * frame, more rights.
 */
export function tell(kernel: string): Ending {
  const machine = createMachine({ kernel, arch: "arm64" });
  const process = machine.createProcess();
  const { kernel: k } = machine;
  const { thread } = process;
  machine.run(
    sysMmap(k, thread, {
      address: PAGE * PAGE_SIZE,
      length: 4 * PAGE_SIZE,
      prot: PROT_READ | PROT_WRITE,
      flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    }),
  );
  machine.run(userAccess(k, thread, PAGE, "write", 1));
  const child = machine.run(sysFork(k, thread));
  machine.run(mmput(k, { cpu: 0, mm: child }));

  const device = machine.attach(smmu, { process });
  device.access(PAGE, "read");
  const { outcome, faults } = device.access(PAGE, "write", 2);
  return { kernel, outcome: outcome.kind, faults };
}

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
import plugin from "./profile.js";

const PAGE = 0x2_0000_0000;

/** The device writes a page that fork left read-only and whose other owner is gone; the result is `value` or `livelock`. */
export function reuseOn(kernel: string): string {
  const machine = createMachine({ kernel, arch: "arm64", plugins: [plugin] });
  const process = machine.createProcess();
  const { kernel: k } = machine;
  const { thread } = process;
  const request = {
    address: PAGE * PAGE_SIZE,
    length: PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  };
  machine.run(sysMmap(k, thread, request));
  machine.run(userAccess(k, thread, PAGE, "write", 1));
  machine.run(mmput(k, { cpu: 0, mm: machine.run(sysFork(k, thread)) }));
  const device = machine.attach(smmu, { process });
  device.access(PAGE, "read");
  return device.access(PAGE, "write", 2).outcome.kind;
}

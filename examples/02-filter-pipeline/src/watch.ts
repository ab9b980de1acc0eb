import { alignedTo, clippedTo, exceptEvents, ranges } from "@mmu-notifier/bus";
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysMadvise,
  sysMmap,
  sysMprotect,
  userAccess,
} from "@mmu-notifier/core";
import { createMachine } from "@mmu-notifier/machine";
import { filter, map } from "rxjs";

const BASE = 0x2000_0000_0000;
const HUGE = 512 * PAGE_SIZE;

/** One line for each thing that three different subscribers of one address space were told. */
export function watch(): readonly string[] {
  const machine = createMachine({ kernel: "v6.12", arch: "x86-64" });
  const process = machine.createProcess();
  const { kernel: k } = machine;
  const { thread, notifications } = process;
  const told: string[] = [];
  const page = (bytes: number): number => (bytes - BASE) / PAGE_SIZE;

  // Everything but permission changes. The filter comes first, so the bus never calls for them.
  notifications
    .pipe(ranges(), exceptEvents("MMU_NOTIFY_PROTECTION_VMA"))
    .subscribe((n) => told.push(`mirror: ${n.phase} ${n.event} [${page(n.start)}, ${page(n.end)})`));

  // Only pages 8 to 16, in huge pages: what a device with one huge mapping would have to drop.
  notifications
    .pipe(ranges(), clippedTo({ start: BASE + 8 * PAGE_SIZE, end: BASE + 16 * PAGE_SIZE }), alignedTo(HUGE))
    .subscribe((n) => told.push(`huge: ${n.phase} [${page(n.start)}, ${page(n.end)})`));

  // Any operator of RxJS works, for observers.
  notifications
    .pipe(
      ranges(),
      filter(({ phase }) => phase === "start"),
      map(({ start, end }) => (end - start) / PAGE_SIZE),
    )
    .subscribe((pages) => told.push(`meter: ${pages} pages`));

  const request = {
    address: BASE,
    length: 32 * PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  };
  machine.run(sysMmap(k, thread, request));
  for (let vpn = BASE / PAGE_SIZE; vpn < BASE / PAGE_SIZE + 32; vpn++)
    machine.run(userAccess(k, thread, vpn, "write", 1));
  machine.run(sysMprotect(k, thread, BASE, 32 * PAGE_SIZE, PROT_READ));
  machine.run(sysMadvise(k, thread, BASE, 4 * PAGE_SIZE, MADV_DONTNEED));
  machine.run(sysMadvise(k, thread, BASE + 12 * PAGE_SIZE, 2 * PAGE_SIZE, MADV_DONTNEED));
  return told;
}

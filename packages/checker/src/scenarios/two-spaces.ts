import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PAGE_SIZE, PROT_READ, PROT_WRITE, sysMmap } from "@mmu-notifier/core";
import type { AddressSpace } from "@mmu-notifier/machine";
import { ARENA_PAGE, type ScriptSession } from "@mmu-notifier/script";
import { deviceAccesses } from "../machine-model/operation.js";
import type { MachineThread } from "../machine-model/thread-task.js";
import type { Scenario } from "./scenario.js";

/** A value that no script of one op stores. */
const OTHER = 77;

/** A second process with a page of its own at the same address, and the device bound to it under the options it has. */
function secondProcess({ devices, machine }: ScriptSession): AddressSpace {
  const { kernel } = machine;
  const process = machine.createProcess({ name: "second" });
  const request = {
    address: ARENA_PAGE * PAGE_SIZE,
    length: PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  };
  machine.run(sysMmap(kernel, process.thread, request), "second");
  const { definition, name, options } = devices.get("dev0")!;
  machine.attach(definition.name, { name, process, options: { ...options } });
  return process;
}

/** The device accesses the second process's page. */
function accessing(
  { devices }: ScriptSession,
  process: AddressSpace,
  kinds: readonly ("read" | "write")[],
): MachineThread {
  return {
    name: "second",
    operations: kinds.map((access) =>
      deviceAccesses(devices.get("dev0")!, process, `dev dev0 ${access} 0 of the second process`, [
        { vpn: ARENA_PAGE, access, value: OTHER },
      ]),
    ),
  };
}

/** Address spaces that share a device: what one has cached is nothing to the other. */
export const TWO_SPACES: readonly Scenario[] = [
  {
    id: "X29",
    title: "a device works for two processes, which have their own pages at the same address",
    script: "map 0 1 rw- p anon\nwrite 0\nthread device {\ndev dev0 write 0\n}\n",
    threads: (session) => [accessing(session, secondProcess(session), ["write", "read"])],
  },
  {
    id: "X29a",
    title: "a process is bound to a device that another was bound to before, and what named that one is used again",
    script: "map 0 1 rw- p anon\nwrite 0\ndev dev0 write 0\nthread cpu {\nwrite 0\n}\n",
    threads: (session) => {
      const { machine, process } = session;
      machine.run(session.devices.get("dev0")!.unbind(process), "unbind");
      return [accessing(session, secondProcess(session), ["write", "read"])];
    },
  },
];

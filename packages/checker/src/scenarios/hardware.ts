import { oomReapTaskMm } from "@mmu-notifier/core";
import type { ScriptSession } from "@mmu-notifier/script";
import { operation } from "../machine-model/operation.js";
import type { MachineThread } from "../machine-model/thread-task.js";
import type { Scenario } from "./scenario.js";

const alone = (name: string, text: string, path: Parameters<typeof operation>[1]): MachineThread => ({
  name,
  operations: [operation(text, path)],
});

/** __oom_reap_task_mm() of the process itself: the only caller of a start that may not block. */
function reaper({ machine, process }: ScriptSession): MachineThread {
  return alone("reaper", "the OOM reaper takes the pages", () =>
    oomReapTaskMm(machine.kernel, { ...process.thread, cpu: 1 }),
  );
}

/** The device is taken off the address space. */
function unbinding({ devices, process }: ScriptSession): MachineThread {
  const device = devices.get("dev0")!;
  return alone("driver", "the device is unbound", () => device.unbindLater(process));
}

const pages = (count: number): string => `map 0 ${count} rw- p anon\nwrite 0 ${count}\n`;

/** Queues that fill, devices that do not answer, starts that may not block, devices that go away. */
export const HARDWARE: readonly Scenario[] = [
  {
    id: "X8",
    title: "the OOM reaper, which nobody may hold up, takes a page while a fault of the device is resolved",
    script: `${pages(1)}dev dev0 write 0\nthread device {\ndev dev0 write 0\n}\n`,
    config: { cpus: 2 },
    threads: (session) => [reaper(session)],
  },
  {
    id: "X15a",
    title: "the device is taken off the address space while an access is under way",
    script: `${pages(1)}dev dev0 write 0\nthread device {\ndev dev0 write 0\ndev dev0 read 0\n}\n`,
    config: { cpus: 2 },
    threads: (session) => [unbinding(session)],
  },
  {
    id: "X13",
    title: "more pages lose the right to write than fit into one batch of commands",
    script: `${pages(70)}dev dev0 write 0\ndev dev0 write 68 2\nthread cpu {\nprotect 0 70 r--\n}\nthread device {\ndev dev0 read 69\n}\n`,
    arena: 70,
    bits: [7, 1],
    options: { queueDepth: 66, tlbWays: 4 },
  },
  {
    id: "X13a",
    title: "X13 with a queue that needs a CMD_SYNC in every window",
    script: `${pages(70)}dev dev0 write 0\ndev dev0 write 68 2\nthread cpu {\nunmap 0 70\n}\nthread device {\ndev dev0 write 69\n}\n`,
    arena: 70,
    bits: [7, 1],
    options: { queueDepth: 65, forceSync: true, queueConsumer: "hardware" },
  },
  {
    id: "X15",
    title: "the device is taken off the address space while a page is unmapped",
    script: `${pages(1)}dev dev0 write 0\nthread cpu {\nunmap 0 1\n}\n`,
    threads: (session) => [unbinding(session)],
  },
];

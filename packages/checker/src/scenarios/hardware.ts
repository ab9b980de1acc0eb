import { oomReapTaskMm } from "@mmu-notifier/core";
import type { Device } from "@mmu-notifier/machine";
import type { ScriptSession } from "@mmu-notifier/script";
import { step } from "@mmu-notifier/steps";
import { type Operation, operation, THROUGH } from "../machine-model/operation.js";
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

/** The device's translation cache stops answering invalidate requests, and answers again: each at any time. */
function failingAtc({ devices }: ScriptSession): MachineThread {
  const points = atcsOf(devices.get("dev0")!);
  const sets = (text: string, failed: boolean): Operation => ({
    text,
    *attempt() {
      yield step(text, () => {
        for (const { set } of points) set(failed);
        return 0;
      });
      return THROUGH;
    },
  });
  return {
    name: "failure",
    operations: [sets("the ATC stops answering", true), sets("the ATC answers again", false)],
  };
}

function atcsOf({ failures }: Device): Device["failures"] {
  return failures.filter(({ name }) => name.startsWith("atc "));
}

/** What X14 and its variants have in common. */
const FAILING_ATC = {
  wishes: { ats: true },
  lacks: (device) => (atcsOf(device).length > 0 ? undefined : "the device has no translation cache of its own"),
  threads: (session) => [failingAtc(session)],
} satisfies Partial<Scenario>;

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
    id: "X14",
    title: "the device's translation cache stops answering, or answers again, while a page is unmapped",
    script: `${pages(1)}dev dev0 write 0\nthread cpu {\nunmap 0 1\n}\nthread device {\ndev dev0 write 0\n}\n`,
    ...FAILING_ATC,
  },
  {
    id: "X14a",
    title: "X14 while a page loses the right to write",
    script: `${pages(1)}dev dev0 write 0\nthread cpu {\nprotect 0 1 r--\n}\nthread device {\ndev dev0 write 0\n}\n`,
    ...FAILING_ATC,
  },
  {
    id: "X14b",
    title: "X14 while the address space goes away",
    script: `${pages(1)}dev dev0 write 0\nthread cpu {\nexit\n}\nthread device {\ndev dev0 write 0\n}\n`,
    ...FAILING_ATC,
  },
  {
    id: "X15",
    title: "the device is taken off the address space while a page is unmapped",
    script: `${pages(1)}dev dev0 write 0\nthread cpu {\nunmap 0 1\n}\n`,
    threads: (session) => [unbinding(session)],
  },
];

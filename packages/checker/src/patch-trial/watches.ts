import type { ScriptSession } from "@mmu-notifier/script";
import { DeviceMemory, pageRange, type Words } from "@mmu-notifier/sdk";
import type { Report } from "../engine/model.js";
import type { StepRule } from "../machine-model/observed.js";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/** What is watched beside the rules that every scenario is held to, and the rule in words. */
const WATCHES = {
  "idle-event": "an event tells of a right that was gained since the event before it",
  "late-start": "I7: start comes before the first change of an entry",
  "repeated-fault": "T5: a fault that was resolved comes back only if something was taken away",
} as const;

/** Name of a watch. */
export type WatchId = keyof typeof WATCHES;

/** Bits of a page. */
const READ = 1;
const WRITE = 2;

/**
 * Remembers, page by page and as part of the state that is searched, what the watches compare with: rights that entries gained, and accesses
 * that devices made or were told to try again.
 */
export function watch(session: ScriptSession, wanted: readonly WatchId[]): readonly StepRule[] {
  if (wanted.length === 0) return [];
  const { machine } = session;
  const { kernel } = machine;
  const { first = 0 } = kernel.tables.geometry;
  const pages = kernel.tables.pages - first;
  const memory = new DeviceMemory(machine.memory, "watch");
  let seen: Report | undefined;
  const note = (id: WatchId, verdict: Report["verdict"], about: string, what: string): void => {
    if (wanted.includes(id)) seen ??= { verdict, about, what, rule: WATCHES[id] };
  };
  watchEvents(session, memory.words("gained", pages), { first, pages, note });
  if (wanted.includes("repeated-fault"))
    watchFaults(session, memory.words("tried", pages), memory.words("open", 1), { first, pages, note });
  return [
    {
      before: () => {
        seen = undefined;
      },
      after: () => seen,
    },
  ];
}

interface Place {
  readonly first: number;
  readonly pages: number;
  readonly note: (id: WatchId, verdict: Report["verdict"], about: string, what: string) => void;
}

/** Holds the starts of the event against the rights that entries gained since the last one, in any address space: a bit each. */
function watchEvents({ machine }: ScriptSession, gained: Words, { first, pages, note }: Place): void {
  const { kernel } = machine;
  kernel.events.subscribe((event) => {
    if (event.kind !== "upgrade") return;
    for (let i = 0; i < event.pages; i++) {
      const page = event.vpn - first + i;
      gained.set(page, gained.get(page) | (1 << event.mm));
    }
  });
  kernel.bus.calls.subscribe((call) => {
    if (call.call !== "invalidate_range_start" || call.event !== UPGRADE) return;
    const [from, to] = inside(call, first, pages);
    let late = -1;
    for (let page = from; page < to; page++) {
      if ((gained.get(page) & (1 << call.mm)) !== 0) late = page;
      gained.set(page, gained.get(page) & ~(1 << call.mm));
    }
    const page = `page ${from}`;
    if (late < 0) note("idle-event", "COST", page, `${UPGRADE} is sent for ${page}, which gained no right`);
    else note("late-start", "CONTRACT", UPGRADE, `start comes for page ${late}, and its entry is writable by then`);
  });
}

/** Holds the faults of devices against what they could do, or were told to try again, since something was taken away. */
function watchFaults({ machine, mm }: ScriptSession, tried: Words, open: Words, { first, pages, note }: Place): void {
  machine.kernel.bus.calls.subscribe((call) => {
    if (call.mm !== mm || call.call === "release" || !("event" in call) || call.event === UPGRADE) return;
    open.add(0, call.call === "invalidate_range_start" ? 1 : -1);
    const [from, to] = inside(call, first, pages);
    for (let page = from; page < to; page++) tried.set(page, 0);
  });
  for (const device of machine.devices)
    device.events.subscribe((event) => {
      if (event.kind !== "fault" && event.kind !== "access") return;
      const page = event.vpn - first;
      const before = tried.get(page);
      if (event.kind === "fault" && open.get(0) === 0 && (before & (event.write ? WRITE : READ)) !== 0)
        note(
          "repeated-fault",
          "COST",
          `page ${page}`,
          `${device.name} faults on a ${event.write ? "write" : "read"} of page ${page} a second time, and nothing was taken away in between`,
        );
      tried.set(page, before | (event.write ? READ | WRITE : READ));
    });
}

function inside(
  range: { readonly start: number; readonly end: number },
  first: number,
  pages: number,
): [number, number] {
  const { start, end } = pageRange(range);
  return [Math.max(0, start - first), Math.min(pages, end - first)];
}

import type { Machine } from "@mmu-notifier/machine";
import type { VerdictLog } from "../../engine/verdict-log.js";
import type { PageName } from "../coherence/coherence.js";
import type { Use, Watcher } from "../observed.js";
import type { MachineThread } from "../thread-task.js";
import type { Place } from "./place.js";
import { TaskRows } from "./task-rows.js";
import { type WatchedPage, WatchedPages } from "./watched-pages.js";
import { Windows } from "./windows.js";
import { Work } from "./work.js";

/** Pages that are followed at most: each takes a look at the page table after every step. */
const MOST_PAGES = 6;

/** Everything that is written down about the tasks beside what they write themselves. */
export class Watch implements Watcher {
  readonly pages: WatchedPages;
  readonly windows: Windows;
  readonly #work: Work;

  constructor(pages: WatchedPages, windows: Windows, work: Work) {
    this.pages = pages;
    this.windows = windows;
    this.#work = work;
  }

  before(task: number, place: Place): void {
    this.windows.before(task, place);
    this.#work.before(task, place);
  }

  after(task: number, place: Place, use: Use | undefined): void {
    this.pages.after(task, use);
    this.windows.after();
    this.#work.after(task, place);
  }

  returns(task: number): void {
    this.windows.returns(task);
  }
}

/** Watches a machine's tasks, the threads first, from the state it is in. What is wrong goes to `log`. */
export function watch(machine: Machine, threads: readonly MachineThread[], name: PageName, log: VerdictLog): Watch {
  const tasks = threads.length + machine.devices.reduce((sum, { hardware }) => sum + hardware.length, 0);
  const rows = new TaskRows(machine, tasks);
  const windows = new Windows(machine, rows, log);
  const pages = new WatchedPages(machine, accessed(machine, threads), name, windows, log);
  return new Watch(pages, windows, new Work(machine, rows, log));
}

/** Pages of the devices' address spaces that the threads access. */
function accessed(machine: Machine, threads: readonly MachineThread[]): readonly WatchedPage[] {
  const mms = new Set(machine.devices.flatMap((device) => device.mms));
  const found: WatchedPage[] = [];
  for (const { pages = [] } of threads.flatMap(({ operations }) => operations))
    for (const { mm, vpn } of pages)
      if (mms.has(mm) && !found.some((known) => known.mm === mm && known.vpn === vpn)) found.push({ mm, vpn });
  return found.slice(0, MOST_PAGES);
}

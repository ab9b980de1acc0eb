import type { Device, Machine } from "@mmu-notifier/machine";
import type { VerdictLog } from "../../engine/verdict-log.js";
import { RULES } from "../coherence/rules.js";
import type { Place } from "./place.js";
import type { TaskRows } from "./task-rows.js";

/** Counts the commands of the callback that each task is in, and holds them against what the driver declares. */
export class Work {
  readonly #rows: TaskRows;
  readonly #devices: readonly Device[];
  readonly #log: VerdictLog;
  /** Commands that all devices had issued when the step began. */
  #issued = 0;

  constructor(machine: Machine, rows: TaskRows, log: VerdictLog) {
    this.#devices = machine.devices;
    this.#log = log;
    this.#rows = rows;
  }

  before(task: number, { callback, left }: Place): void {
    if (left !== undefined) this.#rows.words[this.#rows.commands(task)] = 0;
    if (callback === undefined) return;
    this.#issued = this.#all();
  }

  after(task: number, { callback }: Place): void {
    if (callback === undefined) return;
    const issued = this.#all() - this.#issued;
    if (issued === 0) return;
    const count = (this.#rows.words[this.#rows.commands(task)]! += issued);
    const { bindings, name } = this.#devices[callback.device]!;
    for (const { declarations } of bindings) {
      const { maxCommandsPerCall: most = Infinity } = declarations;
      if (count <= most) continue;
      this.#log.record({
        verdict: "COST",
        about: name,
        what: `${callback.fn} issues ${count} commands, and ${most} are declared`,
        rule: RULES.W1,
      });
    }
  }

  #all(): number {
    let all = 0;
    for (const { costs } of this.#devices) all += costs.commands();
    return all;
  }
}

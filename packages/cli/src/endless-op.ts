import { type OpRecord, ScriptSession, type Script, type SessionOptions, type Statement } from "@mmu-notifier/script";
import { withinTime } from "@mmu-notifier/checker";
import type { BrokenRule } from "./broken-rule.js";
import { UsageError } from "./errors.js";

/** Times that an op which takes long is given twice the time before. */
const MOST_TRIES = 6;
/** Times of a step within which a machine is put together. */
const SET_UP_STEPS = 4;

/** An op that never ends, as a rule that is broken. */
export interface Endless {
  readonly endless: BrokenRule;
}

/**
 * A session whose ops end: one that takes longer than the time of a step is run again on a machine of its own with twice the time.
 * If it comes as many steps far as before, one of them never ends; otherwise it is only long.
 */
export class WatchedSession {
  readonly #script: Script;
  readonly #options: SessionOptions;
  readonly #milliseconds: number;
  #session: ScriptSession;
  #done: Statement[] = [];

  /** @throws UsageError when attaching a device does not end */
  constructor(script: Script, options: SessionOptions, milliseconds: number) {
    this.#script = script;
    this.#options = options;
    this.#milliseconds = milliseconds;
    this.#session = this.#open();
  }

  /** The machine that the ops so far were run on. */
  get session(): ScriptSession {
    return this.#session;
  }

  /** What an op came to, or that it never ends; then nothing can be run after it. */
  run(statement: Statement): OpRecord | Endless {
    let record: OpRecord | undefined;
    let time = this.#milliseconds;
    let before = -1;
    while (!withinTime(() => (record = this.#session.run(statement)), time)) {
      const { steps } = this.#session.machine.scheduler;
      time *= 2;
      if (steps === before || time > this.#milliseconds * 2 ** MOST_TRIES) return { endless: this.#endless(statement) };
      before = steps;
      this.#again();
    }
    this.#done.push(statement);
    return record!;
  }

  /** The same ops on a new machine. */
  #again(): void {
    this.#session = this.#open();
    for (const statement of this.#done) {
      const time = this.#milliseconds * 2 ** MOST_TRIES;
      if (!withinTime(() => this.#session.run(statement), time))
        throw new UsageError(
          `${statement.text}, which ended before, did not end within ${time} ms when it was run again`,
        );
    }
  }

  #open(): ScriptSession {
    let session: ScriptSession | undefined;
    const time = SET_UP_STEPS * this.#milliseconds;
    if (withinTime(() => (session = new ScriptSession(this.#script, this.#options)), time)) return session!;
    const drivers = this.#script.devices.map(({ driver }) => driver).join(", ");
    throw new UsageError(
      `attaching the devices did not end within ${time} ms: code of ${drivers === "" ? "the machine" : `driver ${drivers}`} loops for ever. Repair it; --step-time gives it more time`,
      { drivers },
    );
  }

  #endless({ op, text }: Statement): BrokenRule {
    const functions = this.#session.machine.scheduler.tasks.at(-1)?.context.functions ?? [];
    const path = functions.length === 0 ? text : functions.join(" -> ");
    const devices = [...this.#session.devices.values()];
    const called = devices.find(({ definition, name }) => path.includes(`${definition.name} ${name}.`));
    const device = called ?? (op.kind === "device-access" ? this.#session.devices.get(op.device) : undefined);
    const whose =
      device === undefined ? "" : `. It is driver ${device.definition.name} (${device.origin}), device ${device.name}`;
    return {
      verdict: "HANG",
      code: "CHECKER_STEP_TIMEOUT",
      message: `a step, or the code between two, does not end: run twice, the second time with twice the time, it came no further. In ${path}${whose}`,
    };
  }
}

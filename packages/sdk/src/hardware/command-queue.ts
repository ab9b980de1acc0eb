import { type Path, type Segment, spinUntil, type Step, step } from "@mmu-notifier/steps";
import type { HardwareTask } from "../binding.js";
import type { HardwareContext } from "../context.js";
import type { Words } from "../device-memory.js";
import { SdkError } from "../errors.js";
import { CommandRing } from "./command-ring.js";
import { type Command, mnemonicOf, OPCODES } from "./commands.js";

/** Result of {@link CommandQueue.issue}: the hardware did not take a command for a second (-ETIMEDOUT). */
export const CMDQ_TIMEOUT = -110;
/** Result of {@link CommandQueue.issue}: an ATC invalidation since the last barrier timed out (-EIO); which one is not known. */
export const CERROR_ATC_INV_SYNC = -5;

/** What carries commands out. Called in the step that executes the command. */
export interface CommandTarget {
  /** Any command but CMD_SYNC. */
  execute(command: Command): void;
  /** Everything that executed commands made stale is out of use: CMD_SYNC may complete. */
  drained(): boolean;
  /** A device that took an invalidate request will not say that it is done: CMD_SYNC completes with an error. @defaultValue never */
  unanswered?(): boolean;
}

/** How a command queue is built. */
export interface CommandQueueOptions {
  /** Entries of the queue. More than `batch`, so that a whole batch and its CMD_SYNC fit. @defaultValue 128 */
  readonly depth?: number;
  /** Most commands handed over at once. @defaultValue 64 */
  readonly batch?: number;
  /** ARM_SMMU_OPT_CMDQ_FORCE_SYNC: a CMD_SYNC in every window of `batch` entries. @defaultValue false */
  readonly forceSync?: boolean;
  /**
   * Who executes commands: `hardware`, a task of its own that may be as slow as it likes; or `waiter`, whoever waits for room or
   * for a barrier, which keeps a state space small and still leaves commands unexecuted until somebody waits.
   *
   * @defaultValue 'waiter'
   */
  readonly consumer?: "waiter" | "hardware";
  /**
   * What this hardware calls its commands, by opcode: `{ [OPCODES.CMD_SYNC]: "inv_wait_desc" }`. For costs, observers and
   * pictures. @defaultValue the mnemonics of SMMUv3
   */
  readonly names?: Readonly<Record<number, string>>;
  readonly target: CommandTarget;
}

const HALTED = 0;
const ATC_TIMED_OUT = 1;

const COMPLETION_STRIDE = 4;
const DONE = 1;
const ERROR = 2;

/** Results of steps that are no completion row. */
const AGAIN = -1;
const TIMED_OUT = -2;

/**
 * A command queue with barriers, as SMMUv3's.
 *
 * Commands are executed in order. Issuing writes them and, for the last batch, a CMD_SYNC whose completion is waited for without sleeping.
 * When there is no room the writer spins; a queue whose hardware stands still ends that with {@link CMDQ_TIMEOUT}: the
 * commands are not silently lost.
 *
 * @public
 */
export class CommandQueue {
  readonly #context: HardwareContext;
  readonly #options: Required<CommandQueueOptions>;
  readonly #commands: CommandRing;
  /** Completion words that CMD_SYNC writes to (its MSI). */
  readonly #completions: Segment;
  readonly #registers: Words;
  readonly #consumeStep: Step;

  /** @throws SdkError SDK_HARDWARE_CONFIG */
  constructor(
    context: HardwareContext,
    { depth = 128, batch = 64, forceSync = false, consumer = "waiter", names = {}, target }: CommandQueueOptions,
  ) {
    if (depth <= batch) {
      throw new SdkError(
        "SDK_HARDWARE_CONFIG",
        `command queue: ${depth} entries do not hold a batch of ${batch} commands and its CMD_SYNC. Make it deeper, or the batch smaller`,
        {
          depth,
          batch,
        },
      );
    }
    this.#context = context;
    this.#options = { depth, batch, forceSync, consumer, names, target };
    this.#commands = new CommandRing(context.memory);
    this.#completions = context.memory.segment("cmdq completions", COMPLETION_STRIDE, 2);
    this.#registers = context.memory.words("cmdq registers", 2);
    this.#consumeStep = spinUntil(
      "cmdq: execute",
      () => this.#canExecute(),
      () => this.#execute(),
    );
  }

  /** The path of the hardware, for a device whose queue has `consumer: 'hardware'`. */
  get hardware(): HardwareTask {
    const consume = this.#consumeStep;
    return {
      name: "cmdq",
      *run() {
        yield consume;
      },
    };
  }

  /** Commands that wait. */
  get pending(): number {
    return this.#commands.length;
  }

  /** Stops or restarts the hardware: an injected failure. In a step or at set-up. */
  halt(halted: boolean): void {
    this.#registers.set(HALTED, halted ? 1 : 0);
  }

  /** Records that a device did not answer an ATC invalidation; the next CMD_SYNC tells. In a step. */
  atcTimedOut(): void {
    this.#registers.set(ATC_TIMED_OUT, 1);
  }

  /**
   * Issues commands in batches, with one CMD_SYNC after the last, and waits for it.
   *
   * @returns 0, {@link CMDQ_TIMEOUT} or {@link CERROR_ATC_INV_SYNC}
   */
  *issue(commands: readonly Command[]): Path<number> {
    const { batch, forceSync } = this.#options;
    const size = forceSync ? batch - 1 : batch;
    let error = 0;
    for (let at = 0; ; at += size) {
      const part = commands.slice(at, at + size);
      const last = at + size >= commands.length;
      if (last || forceSync) error ||= yield* this.#submitAndWait(part);
      else error ||= yield* this.submit(part);
      if (last) return error;
    }
  }

  /** A CMD_SYNC alone. Results as of {@link issue}. */
  *sync(): Path<number> {
    return yield* this.#submitAndWait([]);
  }

  /** Writes commands without a barrier; 0 or {@link CMDQ_TIMEOUT}. At most one batch. */
  *submit(commands: readonly Command[]): Path<number> {
    return (yield* this.#write(commands, false)) < 0 ? CMDQ_TIMEOUT : 0;
  }

  /**
   * Waits for something that an executed command brings about, without a barrier: executes commands where the waiter is the consumer.
   * Returns what `run` returns, or {@link CMDQ_TIMEOUT} when the hardware stands still.
   */
  *until(label: string, ready: () => boolean, run: () => number): Path<number> {
    const helps = this.#options.consumer === "waiter";
    const poll = spinUntil(
      label,
      () => ready() || this.#isHalted || (helps && this.#canExecute()),
      () => {
        if (!ready() && helps && !this.#isHalted) this.#execute();
        if (ready()) return run();
        return this.#isHalted ? TIMED_OUT : AGAIN;
      },
    );
    for (;;) {
      const state = yield poll;
      if (state === AGAIN) continue;
      if (state !== TIMED_OUT) return state;
      yield this.#timeout(label);
      return CMDQ_TIMEOUT;
    }
  }

  *#submitAndWait(commands: readonly Command[]): Path<number> {
    const completion = yield* this.#write(commands, true);
    return completion < 0 ? CMDQ_TIMEOUT : yield* this.#wait(completion);
  }

  /** Reserves room for all of it and writes it in one go: the completion row of the barrier, 0 without one, -1 on a time-out. */
  *#write(commands: readonly Command[], barrier: boolean): Path<number> {
    const count = commands.length + (barrier ? 1 : 0);
    const helps = this.#options.consumer === "waiter";
    const write = spinUntil(
      `cmdq: ${commands.length} commands${barrier ? " + CMD_SYNC" : ""}`,
      () => this.#fits(count) || this.#isHalted || (helps && this.#canExecute()),
      () => {
        if (this.#fits(count)) return this.#pushAll(commands, barrier);
        if (this.#isHalted) return TIMED_OUT;
        this.#execute();
        return AGAIN;
      },
    );
    for (;;) {
      const written = yield write;
      if (written === AGAIN) continue;
      if (written !== TIMED_OUT) return written;
      yield this.#timeout(`no room for ${count} commands in a queue of ${this.#options.depth}`);
      return -1;
    }
  }

  #pushAll(commands: readonly Command[], barrier: boolean): number {
    for (const command of commands) this.#push(command);
    if (!barrier) return 0;
    const row = this.#completions.alloc();
    this.#push({ ...SYNC, arg: row });
    this.#context.costs.count("syncs");
    return row;
  }

  /** Polls the completion word and, where the waiter is the consumer, executes commands until it is written. */
  *#wait(completion: number): Path<number> {
    const at = completion * COMPLETION_STRIDE + 1;
    const helps = this.#options.consumer === "waiter";
    const poll = spinUntil(
      "CMD_SYNC: wait",
      () => this.#completions.i32[at] !== 0 || this.#isHalted || (helps && this.#canExecute()),
      () => {
        if (helps && this.#completions.i32[at] === 0 && !this.#isHalted) this.#execute();
        const word = this.#completions.i32[at]!;
        if (word !== 0) this.#completions.free(completion);
        else if (this.#isHalted) return TIMED_OUT;
        return word;
      },
    );
    for (;;) {
      const state = yield poll;
      if (state === DONE) return 0;
      if (state === ERROR) return CERROR_ATC_INV_SYNC;
      if (state === TIMED_OUT) {
        yield this.#timeout("CMD_SYNC did not complete");
        return CMDQ_TIMEOUT;
      }
    }
  }

  #timeout(what: string): Step {
    return step("CMDQ timeout", () => {
      this.#context.costs.count("timeouts");
      this.#context.events.error("CMDQ_TIMEOUT", `CMDQ timeout: ${what}`);
      return 0;
    });
  }

  get #isHalted(): boolean {
    return this.#registers.get(HALTED) !== 0;
  }

  #nameOf(opcode: number): string {
    return this.#options.names[opcode] ?? mnemonicOf(opcode);
  }

  #fits(count: number): boolean {
    return this.#commands.length + count <= this.#options.depth;
  }

  #push(command: Command): void {
    this.#commands.push(command);
    const { costs, events } = this.#context;
    const mnemonic = this.#nameOf(command.opcode);
    costs.command(mnemonic);
    if (command.opcode === OPCODES.CMD_ATC_INV) costs.count("atcInvalidations");
    if (events.observed)
      events.emit({ kind: "command", mnemonic, asid: command.id, start: command.start, pages: command.pages });
  }

  /** There is a front command and it may be executed now. */
  #canExecute(): boolean {
    if (this.#isHalted || this.#commands.length === 0) return false;
    return this.#commands.front !== OPCODES.CMD_SYNC || this.#options.target.drained();
  }

  #execute(): number {
    const command = this.#commands.shift();
    if (command.opcode === OPCODES.CMD_SYNC) this.#complete(command.arg);
    else this.#options.target.execute(command);
    const { events } = this.#context;
    if (events.observed) {
      events.emit({
        kind: "executed",
        mnemonic: this.#nameOf(command.opcode),
        asid: command.id,
        start: command.start,
        pages: command.pages,
      });
    }
    return 1;
  }

  #complete(row: number): void {
    const failed = this.#registers.get(ATC_TIMED_OUT) !== 0 || this.#options.target.unanswered?.() === true;
    this.#registers.set(ATC_TIMED_OUT, 0);
    if (failed) {
      this.#context.costs.count("timeouts");
      this.#context.events.error("CERROR_ATC_INV_SYNC", "an ATC invalidation since the last CMD_SYNC timed out");
    }
    if (this.#completions.isLive(row)) this.#completions.i32[row * COMPLETION_STRIDE + 1] = failed ? ERROR : DONE;
  }
}

const SYNC: Command = { opcode: OPCODES.CMD_SYNC, id: 0, start: 0, pages: 0, arg: 0 };

/**
 * Makes a command queue.
 *
 * @throws SdkError SDK_HARDWARE_CONFIG
 */
export function commandQueue(context: HardwareContext, options: CommandQueueOptions): CommandQueue {
  return new CommandQueue(context, options);
}

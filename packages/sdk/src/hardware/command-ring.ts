import type { Segment } from "@mmu-notifier/steps";
import type { DeviceMemory } from "../device-memory.js";
import type { Command } from "./commands.js";

const OPCODE = 0;
const ID = 1;
const START = 1; // as a double: words 2 and 3
const PAGES = 4;
const ARG = 5;
const STRIDE = 6;

/**
 * Commands that wait, first in first out. Row r is the r-th from the front, so that queues with equal content are equal words whatever
 * went through them before. Methods are for steps.
 */
export class CommandRing {
  readonly #rows: Segment;

  constructor(memory: DeviceMemory) {
    this.#rows = memory.segment("cmdq", STRIDE, 4);
  }

  get length(): number {
    return this.#rows.live;
  }

  /** Opcode of the command at the front, 0 when there is none. */
  get front(): number {
    return this.#rows.live === 0 ? 0 : this.#rows.i32[STRIDE + OPCODE]!;
  }

  push({ opcode, id, start, pages, arg }: Command): void {
    const at = this.#rows.alloc(opcode) * STRIDE;
    const { i32, f64 } = this.#rows;
    i32[at + ID] = id;
    f64[at / 2 + START] = start;
    i32[at + PAGES] = pages === Infinity ? -1 : pages;
    i32[at + ARG] = arg;
  }

  /** Takes the front command out; there is one. */
  shift(): Command {
    const { i32, f64, used } = this.#rows;
    const pages = i32[STRIDE + PAGES]!;
    const command: Command = {
      opcode: i32[STRIDE + OPCODE]!,
      id: i32[STRIDE + ID]!,
      start: f64[STRIDE / 2 + START]!,
      pages: pages === -1 ? Infinity : pages,
      arg: i32[STRIDE + ARG]!,
    };
    i32.copyWithin(STRIDE, 2 * STRIDE, used * STRIDE);
    this.#rows.free(used - 1);
    return command;
  }
}

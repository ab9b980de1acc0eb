import type { Memory, Segment } from "@mmu-notifier/steps";
import type { KernelConfig } from "../kernel-config.js";
import { VM_HUGEPAGE } from "../vma.js";

const ALWAYS = 1;
const MADVISE = 2;
const INHERIT = 3;
const STRIDE = 4;

/** What `hugepages-SIZEkB/enabled` takes. */
export type AnonOrderSetting = "always" | "madvise" | "inherit" | "never";

/** Orders of anonymous folios below the PMD's start here: 1 does not exist. */
const SMALLEST = 2;

/**
 * huge_anon_orders_always, _madvise, _inherit: which sizes below the PMD's a fault in anonymous memory may take, one bit an order. An
 * administrator sets them while the machine runs (since v6.8); all are `never` at first.
 */
export class HugeAnonOrders {
  readonly segment: Segment;
  readonly #at: number;

  constructor(memory: Memory) {
    this.segment = memory.segment("huge_anon_orders", STRIDE, 1);
    this.#at = this.segment.alloc() * STRIDE;
  }

  /** Writes `setting` into the knob of `order`. Inside a step. */
  set(order: number, setting: AnonOrderSetting): void {
    const words = this.segment.i32;
    for (const mask of [ALWAYS, MADVISE, INHERIT]) words[this.#at + mask]! &= ~(1 << order);
    if (setting === "always") words[this.#at + ALWAYS]! |= 1 << order;
    if (setting === "madvise") words[this.#at + MADVISE]! |= 1 << order;
    if (setting === "inherit") words[this.#at + INHERIT]! |= 1 << order;
  }

  /** thp_vma_allowable_orders(), as far as sysfs says: orders in [2, `below`) for a VMA with these flags, one bit each. Inside a step. */
  allowed(vmFlags: number, global: KernelConfig["thp"], below: number): number {
    const words = this.segment.i32;
    const advised = (vmFlags & VM_HUGEPAGE) !== 0;
    let orders = words[this.#at + ALWAYS]!;
    if (advised) orders |= words[this.#at + MADVISE]!;
    if (global === "always" || (global === "madvise" && advised)) orders |= words[this.#at + INHERIT]!;
    return orders & ((1 << below) - 1) & ~((1 << SMALLEST) - 1);
  }
}

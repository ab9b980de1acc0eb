import { call, type Path, spinUntil, type Segment } from "@mmu-notifier/steps";
import type { HardwareContext } from "../context.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import { type FaultServices, IOMMU_PAGE_RESP_SUCCESS } from "../host/fault-services.js";
import { type FaultOptions, isSpurious } from "./fault-strategies.js";
import { type Command, resume, RESUME_ABORT, RESUME_RETRY } from "./commands.js";
import type { CommandQueue } from "./command-queue.js";

/** How the stall model is built. */
export interface StallQueueOptions {
  /** IDR5.STALL_MAX: transactions stalled at a time; the next fault waits unrecorded. @defaultValue 16 */
  readonly stallMax?: number;
  readonly queue: CommandQueue;
}

const STATE = 0;
const VPN = 1; // as a double: words 2 and 3
const STRIDE = 4;

const STALLED = 1;
const RETRY = 2;
const ABORT = 3;

/**
 * SMMUv3's stall model: a transaction that faults waits, an event record with a stall tag (STAG) goes to software, and CMD_RESUME lets the
 * transaction try again, from the TLB on, or ends it. RETRY promises nothing: the TLB may refuse again.
 *
 * @public
 */
export class StallQueue {
  readonly #context: HardwareContext;
  readonly #transactions: Segment;
  readonly #queue: CommandQueue;
  readonly #stallMax: number;

  constructor(context: HardwareContext, { stallMax = 16, queue }: StallQueueOptions) {
    this.#context = context;
    this.#queue = queue;
    this.#stallMax = stallMax;
    this.#transactions = context.memory.segment("stalled", STRIDE, 2);
  }

  /** Transactions stalled now. */
  get stalled(): number {
    return this.#transactions.live;
  }

  /** CMD_RESUME reached the hardware. To be called by the queue's target, in its step. */
  resume({ id, arg }: Command): void {
    if (this.#transactions.isLive(id))
      this.#transactions.i32[id * STRIDE + STATE] = arg === RESUME_RETRY ? RETRY : ABORT;
  }

  /** The fault strategy of one address space; `beforeRetry` runs before CMD_RESUME is issued. */
  strategy(faults: FaultServices, options: FaultOptions = {}): FaultStrategy {
    return { name: "stall", handle: (fault) => call("arm_smmu_handle_evt", this.#handle(faults, fault, options)) };
  }

  *#handle(faults: FaultServices, fault: DeviceFault, { beforeRetry, table }: FaultOptions): Path<number> {
    const { costs, events } = this.#context;
    const stag = yield spinUntil(
      `${fault.code}, stall`,
      () => this.#transactions.live < this.#stallMax,
      () => {
        const row = this.#transactions.alloc(STALLED);
        this.#transactions.f64[(row * STRIDE) / 2 + VPN] = fault.vpn;
        if (isSpurious(fault, table)) costs.count("spuriousFaults");
        if (events.observed) events.emit({ kind: "fault", ...fault, stag: row });
        return row;
      },
    );
    const response = yield* faults.handleMmFault(fault.vpn, fault.write);
    const success = response === IOMMU_PAGE_RESP_SUCCESS;
    if (success && beforeRetry !== undefined) yield* beforeRetry(fault);
    // No CMD_SYNC: RESUME is not a thing that a barrier waits for. The queue's consumer is kicked by whoever waits for the tag.
    yield* this.#queue.submit([resume(stag, success ? RESUME_RETRY : RESUME_ABORT)]);
    const state = yield* this.#queue.until(
      "CMD_RESUME: wait",
      () => this.#transactions.i32[stag * STRIDE + STATE] !== STALLED,
      () => {
        const resumed = this.#transactions.i32[stag * STRIDE + STATE]!;
        this.#transactions.free(stag);
        if (events.observed)
          events.emit({
            kind: "response",
            response: resumed === RETRY ? "RETRY" : "ABORT",
            vpn: fault.vpn,
            write: fault.write,
          });
        return resumed;
      },
    );
    return state === RETRY ? FAULT_RETRY : FAULT_ABORT;
  }
}

import {
  AsidPool,
  type Atc,
  type Command,
  CommandQueue,
  type DeviceContext,
  Iotlb,
  OPCODES,
  StallQueue,
} from "@mmu-notifier/sdk";
import type { ArmSmmuOptions } from "./config.js";

/** One SMMU: what all its bindings share. */
export class Smmu {
  readonly iotlb: Iotlb;
  readonly queue: CommandQueue;
  readonly stalls: StallQueue;
  readonly asids: AsidPool;
  readonly #atcs: Atc[] = [];

  constructor(context: DeviceContext<ArmSmmuOptions>) {
    const { asidBits, forceSync, hitPolicy, queueConsumer, queueDepth, stallMax, tlbSets, tlbWays } = context.options;
    const asidCount = 2 ** asidBits - 1;
    this.asids = new AsidPool(context.name, context.memory.words("asids", AsidPool.words(asidCount)), asidCount);
    this.iotlb = new Iotlb(context, { sets: tlbSets, ways: tlbWays, hitPolicy });
    this.queue = new CommandQueue(context, {
      depth: queueDepth,
      forceSync,
      consumer: queueConsumer,
      target: { execute: (command) => this.#execute(command), drained: () => this.#drained() },
    });
    this.stalls = new StallQueue(context, { stallMax, queue: this.queue });
    if (queueConsumer === "hardware") context.hardware(this.queue.hardware);
  }

  /** A master's cache gets the invalidate requests for its stream and substream. */
  attach(atc: Atc): void {
    this.#atcs.push(atc);
  }

  #execute(command: Command): void {
    const { opcode, id, start, pages, arg } = command;
    switch (opcode) {
      case OPCODES.CMD_TLBI_NH_ASID:
        this.iotlb.invalidateASID(id);
        break;
      case OPCODES.CMD_TLBI_NH_VA:
        this.iotlb.invalidateRange(id, start, start + pages, arg === 1);
        break;
      case OPCODES.CMD_TLBI_NSNH_ALL:
        this.iotlb.invalidateAll();
        break;
      case OPCODES.CMD_ATC_INV:
        for (const atc of this.#atcs) {
          if (atc.sid === id && atc.ssid === arg && atc.invalidate(start, start + pages) < 0) this.queue.atcTimedOut();
        }
        break;
      case OPCODES.CMD_RESUME:
        this.stalls.resume(command);
        break;
      default:
        // CFGI: the model caches no configuration.
        break;
    }
  }

  #drained(): boolean {
    return this.iotlb.drained && this.#atcs.every((atc) => atc.drained);
  }
}

import { type Path, spinUntil, type Segment } from "@mmu-notifier/steps";
import type { HardwareTask } from "../binding.js";
import type { DeviceContext } from "../context.js";
import { tlbTarget } from "../compose/tlb-target.js";
import type { OnMissingRight } from "../declarations.js";
import { AsidPool } from "../host/asid-pool.js";
import type { Atc } from "./atc.js";
import { CommandQueue } from "./command-queue.js";
import { OPCODES } from "./commands.js";
import type { ContextDescriptor } from "./context-descriptor.js";
import type { HitPolicy } from "./hit-policy.js";
import { Iotlb } from "./iotlb.js";
import { StallQueue } from "./stall-queue.js";

/** What can be set about the hardware of an SMMU, whoever drives it. */
export interface SmmuV3Options {
  /** The masters have address translation caches (PCIe ATS). */
  readonly ats: boolean;
  /** Faulting transactions stall until software resumes them. Masters with ATS never stall. */
  readonly stall: boolean;
  /** Stream ids of one master; stalling needs exactly one. */
  readonly streams: number;
  /** IDR3.RIL: one TLBI for a range. */
  readonly ril: boolean;
  /** ARM_SMMU_OPT_CMDQ_FORCE_SYNC: a CMD_SYNC in every window of 64 commands. */
  readonly forceSync: boolean;
  /** Entries of the command queue; more than 64. */
  readonly queueDepth: number;
  /** Who executes commands; see {@link CommandQueueOptions.consumer}. */
  readonly queueConsumer: "waiter" | "hardware";
  /** What a write does that hits a read-only entry. */
  readonly hitPolicy: HitPolicy;
  /** Sets and ways of the IOTLB. */
  readonly tlbSets: number;
  readonly tlbWays: number;
  /** Sets and ways of each ATC. */
  readonly atcSets: number;
  readonly atcWays: number;
  /** What a device does with an entry of its ATC that lacks a right. */
  readonly atcHitPolicy: HitPolicy;
  /**
   * What the driver does about a master that did not answer an ATC_INV: turn its ATS off, so that what its cache may still hold is of
   * no use, or go on as if it had, as mainline does: the frames that the cache leads to are given away all the same.
   */
  readonly onAtcTimeout: "disable-ats" | "go-on";
  /** Entries of the walk cache; 0 is none. */
  readonly walkCacheEntries: number;
  /** 2^asidBits - 1 ASIDs. */
  readonly asidBits: number;
  /** IDR5.STALL_MAX. */
  readonly stallMax: number;
}

/** An SMMU that stalls, of masters without ATS. */
export const SMMU_V3_DEFAULTS: SmmuV3Options = {
  ats: false,
  stall: true,
  streams: 1,
  ril: false,
  forceSync: false,
  queueDepth: 128,
  queueConsumer: "waiter",
  hitPolicy: "nondeterministic",
  tlbSets: 1,
  tlbWays: 4,
  atcSets: 1,
  atcWays: 4,
  atcHitPolicy: "nondeterministic",
  onAtcTimeout: "disable-ats",
  walkCacheEntries: 0,
  asidBits: 8,
  stallMax: 16,
};

/** `declares.onMissingRight` of a device with these caches. */
export function onMissingRight({
  ats,
  atcHitPolicy,
  hitPolicy,
}: Pick<SmmuV3Options, "ats" | "atcHitPolicy" | "hitPolicy">): OnMissingRight {
  const policies = ats ? [hitPolicy, atcHitPolicy] : [hitPolicy];
  if (policies.every((policy) => policy === "rewalk-on-permission-fault")) return "re-walk";
  return policies.some((policy) => policy === "fault-from-tlb" || policy === "drop-and-fault") ? "fault" : "either";
}

const ASID = 1;
const START = 1; // as a double: words 2 and 3
const PAGES = 4;
const LAST_LEVEL = 5;
const STRIDE = 6;

/**
 * The hardware of one Arm SMMUv3: IOTLB, command queue, stall model, and a port for broadcast TLB maintenance that is closed until
 * {@link listen}. What software does with it is a driver's matter.
 *
 * @public
 */
export class SmmuV3 {
  readonly iotlb: Iotlb;
  readonly queue: CommandQueue;
  readonly stalls: StallQueue;
  readonly asids: AsidPool;
  readonly #atcs: Atc[] = [];
  readonly #descriptors: ContextDescriptor[] = [];
  /** Broadcasts that have arrived and not taken effect, oldest first. */
  #broadcasts: Segment | undefined;

  constructor(context: DeviceContext<SmmuV3Options>) {
    const { asidBits, forceSync, hitPolicy, queueConsumer, queueDepth, stallMax, tlbSets, tlbWays } = context.options;
    const asidCount = 2 ** asidBits - 1;
    this.asids = new AsidPool(context.name, context.memory.words("asids", AsidPool.words(asidCount)), asidCount);
    this.iotlb = new Iotlb(context, { sets: tlbSets, ways: tlbWays, hitPolicy });
    this.queue = new CommandQueue(context, {
      depth: queueDepth,
      forceSync,
      consumer: queueConsumer,
      // CFGI and PREFETCH change nothing: the model caches no configuration. Broadcasts are the DSB's affair, no barrier waits for them.
      target: tlbTarget({
        iotlbs: [this.iotlb],
        atcs: this.#atcs,
        timedOut: () => this.queue.atcTimedOut(),
        other: (command) => command.opcode === OPCODES.CMD_RESUME && this.stalls.resume(command),
      }),
    });
    this.stalls = new StallQueue(context, { stallMax, queue: this.queue });
    if (queueConsumer === "hardware") context.hardware(this.queue.hardware);
  }

  /** A master's cache gets the invalidate requests for its stream and substream. At set-up. */
  attach(atc: Atc): void {
    this.#atcs.push(atc);
  }

  /** The masters' caches. */
  get atcs(): readonly Atc[] {
    return this.#atcs;
  }

  /** A context descriptor becomes known, so that broadcasts can tell whose ASID is shared. At set-up. */
  install(descriptor: ContextDescriptor): void {
    this.#descriptors.push(descriptor);
  }

  /** The descriptors there are. */
  get descriptors(): readonly ContextDescriptor[] {
    return this.#descriptors;
  }

  /**
   * CR2.PTM = 0: inner-shareable TLBIs of the CPUs reach the IOTLB from now on.
   *
   * @param dvm `immediate`: a broadcast takes effect as it is issued; `queued`: some time before the DSB that follows it completes
   */
  listen(context: DeviceContext<SmmuV3Options>, dvm: "immediate" | "queued"): void {
    const drained = (): boolean =>
      this.iotlb.drained && (this.#broadcasts === undefined || this.#broadcasts.live === 0);
    if (dvm === "immediate") {
      context.dvm.join({
        tlbi: (asid, start, end, lastLevel) => this.#broadcast(asid, start, end, lastLevel),
        drained,
      });
      return;
    }
    const broadcasts = context.memory.segment("dvm", STRIDE, 2);
    this.#broadcasts = broadcasts;
    context.dvm.join({
      tlbi(asid, start, end, lastLevel) {
        const at = broadcasts.alloc() * STRIDE;
        broadcasts.i32[at + ASID] = asid;
        broadcasts.f64[at / 2 + START] = start;
        broadcasts.i32[at + PAGES] = end === Infinity ? -1 : end - start;
        broadcasts.i32[at + LAST_LEVEL] = lastLevel ? 1 : 0;
      },
      drained,
    });
    context.hardware(this.#dvmTask(broadcasts));
  }

  #dvmTask(broadcasts: Segment): HardwareTask {
    const take = spinUntil(
      "dvm: tlbi takes effect",
      () => broadcasts.live > 0,
      () => {
        const { i32, f64 } = broadcasts;
        const pages = i32[STRIDE + PAGES]!;
        const start = f64[STRIDE / 2 + START]!;
        this.#broadcast(
          i32[STRIDE + ASID]!,
          start,
          pages === -1 ? Infinity : start + pages,
          i32[STRIDE + LAST_LEVEL] !== 0,
        );
        i32.copyWithin(STRIDE, 2 * STRIDE, broadcasts.used * STRIDE);
        broadcasts.free(broadcasts.used - 1);
        return 0;
      },
    );
    return {
      name: "dvm",
      *run(): Path {
        yield take;
      },
    };
  }

  /** A broadcast by ASID or VA: only entries of shared ASIDs match. */
  #broadcast(asid: number, start: number, end: number, lastLevel: boolean): void {
    if (this.#descriptors.some((cd) => cd.shared && cd.asid === asid))
      this.iotlb.invalidateRange(asid, start, end, lastLevel);
  }
}

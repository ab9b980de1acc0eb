import { call, type Path, type Segment, spinUntil, step } from "@mmu-notifier/steps";
import type { HardwareTask } from "../binding.js";
import type { HardwareContext } from "../context.js";
import type { Words } from "../device-memory.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import {
  type FaultServices,
  IOMMU_PAGE_RESP_FAILURE,
  IOMMU_PAGE_RESP_INVALID,
  IOMMU_PAGE_RESP_SUCCESS,
} from "../host/fault-services.js";
import { type FaultOptions, isSpurious } from "./fault-strategies.js";

/** How a page-request queue is built. */
export interface PageRequestQueueOptions extends FaultOptions {
  /** Requests that the queue holds. @defaultValue 16 */
  readonly depth?: number;
  /** Who serves requests: the requester itself as stand-in for the worker, or a worker task. @defaultValue 'requester' */
  readonly worker?: "requester" | "task";
  readonly faults: FaultServices;
}

/** One page of a group. */
export interface PageRequest {
  readonly vpn: number;
  readonly write: boolean;
}

const ENABLED = 0;
const STOPPED = 1;
const OVERFLOW = 2;

// A request: mark, group, page as a double, write.
const GROUP = 1;
const VPN = 1; // words 2 and 3
const WRITE = 4;
const STRIDE = 6;

// A group: state, response.
const PENDING = 1;
const SERVED = 2;
const ANSWERED = 3;
const RESPONSE = 1;
const GROUP_STRIDE = 4;

/** Results of the request step that are no group: the hardware answered by itself. */
const AUTO_SUCCESS = -1;
const AUTO_FAILURE = -2;

/**
 * PCIe's page request interface: the device asks for pages in groups, software answers each group once, after its last request. An
 * answer carries no translation: the device asks for one again, and may be disappointed.
 *
 * The hardware answers by itself where software cannot: a queue that is off or a device that was stopped gets Failure; a full queue
 * gets Success, so that the device tries its translation again.
 *
 * @public
 */
export class PageRequestQueue {
  readonly #context: HardwareContext;
  readonly #options: PageRequestQueueOptions;
  readonly #requests: Segment;
  readonly #groups: Segment;
  readonly #registers: Words;

  constructor(context: HardwareContext, options: PageRequestQueueOptions) {
    this.#context = context;
    this.#options = options;
    this.#requests = context.memory.segment("priq", STRIDE, 2);
    this.#groups = context.memory.segment("pri groups", GROUP_STRIDE, 2);
    this.#registers = context.memory.words("priq registers", 4);
    this.#registers.set(ENABLED, 1);
  }

  /** Turns the queue on or off; in a step or at set-up. */
  setEnabled(enabled: boolean): void {
    this.#registers.set(ENABLED, enabled ? 1 : 0);
  }

  /** Requests were lost since the queue was last looked at. */
  get overflowed(): boolean {
    return this.#registers.get(OVERFLOW) !== 0;
  }

  /** A response of Failure stopped the device's requests. */
  get stopped(): boolean {
    return this.#registers.get(STOPPED) !== 0;
  }

  /** The worker, for `worker: 'task'`. */
  get worker(): HardwareTask {
    return {
      name: "iopf worker",
      run: () => this.#workerRun(),
    };
  }

  /** The fault strategy of a device with PRI: one page, one group. */
  strategy(): FaultStrategy {
    return {
      name: "pri",
      handle: (fault) => call("page request", this.#handle(fault)),
    };
  }

  /** Asks for a group of pages and returns the answer: IOMMU_PAGE_RESP_SUCCESS, _INVALID or _FAILURE. */
  *request(pages: readonly PageRequest[]): Path<number> {
    const { depth = 16, table, worker = "requester" } = this.#options;
    const group = yield step(`page request group of ${pages.length}`, () => {
      for (const page of pages)
        if (isSpurious({ ...page, code: "F_PERMISSION" }, table)) this.#context.costs.count("spuriousFaults");
      if (this.#registers.get(ENABLED) === 0 || this.stopped) return AUTO_FAILURE;
      if (this.#requests.live + pages.length > depth) return this.#overflow();
      const row = this.#groups.alloc(PENDING);
      for (const page of pages) this.#push(row, page);
      this.#context.costs.count("pageRequests", pages.length);
      return row;
    });
    if (group === AUTO_SUCCESS) return IOMMU_PAGE_RESP_SUCCESS;
    if (group === AUTO_FAILURE) return IOMMU_PAGE_RESP_FAILURE;
    if (worker === "requester") yield* this.#serve(group);
    return yield spinUntil(
      "page request group response",
      () => this.#state(group) === ANSWERED,
      () => {
        const response = this.#groups.i32[group * GROUP_STRIDE + RESPONSE]!;
        this.#groups.free(group);
        if (response === IOMMU_PAGE_RESP_FAILURE) this.#registers.set(STOPPED, 1);
        return response;
      },
    );
  }

  /** Answers every group that waits with Invalid, as at an unbind: nothing is outstanding afterwards. In steps. */
  discard(): void {
    for (let group = 1; group < this.#groups.used; group++) {
      const state = this.#state(group);
      if (state === PENDING || state === SERVED) this.#answer(group, IOMMU_PAGE_RESP_INVALID);
    }
  }

  *#handle(fault: DeviceFault): Path<number> {
    const response = yield* this.request([fault]);
    if (response !== IOMMU_PAGE_RESP_SUCCESS) return FAULT_ABORT;
    if (this.#options.beforeRetry !== undefined) yield* this.#options.beforeRetry(fault);
    return FAULT_RETRY;
  }

  *#workerRun(): Path {
    const group = yield spinUntil(
      "iopf worker: next group",
      () => this.#nextGroup() !== 0,
      () => this.#nextGroup(),
    );
    yield* this.#serve(group);
  }

  /** Handles the requests of a group one after the other; the first that fails decides the answer. */
  *#serve(group: number): Path {
    let response = IOMMU_PAGE_RESP_SUCCESS;
    for (;;) {
      const next = yield step("iopf: next request of the group", () => {
        this.#groups.i32[group * GROUP_STRIDE] = this.#state(group) === PENDING ? SERVED : this.#state(group);
        return this.#take(group);
      });
      if (next < 0) break;
      if (response === IOMMU_PAGE_RESP_SUCCESS)
        response = yield* this.#options.faults.handleMmFault(Math.floor(next / 2), next % 2 === 1);
    }
    yield step("CMD_PRI_RESP", () => {
      if (this.#groups.isLive(group) && this.#state(group) !== ANSWERED) this.#answer(group, response);
      return 0;
    });
  }

  #overflow(): number {
    this.#registers.set(OVERFLOW, 1);
    this.#context.events.error("PRIQ_OVERFLOW", "the page-request queue is full: the device was told to try again");
    return AUTO_SUCCESS;
  }

  #push(group: number, { vpn, write }: PageRequest): void {
    const at = this.#requests.alloc() * STRIDE;
    this.#requests.i32[at + GROUP] = group;
    this.#requests.f64[at / 2 + VPN] = vpn;
    this.#requests.i32[at + WRITE] = write ? 1 : 0;
  }

  /** The lowest request of the group as `vpn * 2 + write`, removed; -1 when there is none left. */
  #take(group: number): number {
    for (let row = 1; row < this.#requests.used; row++) {
      const at = row * STRIDE;
      if (!this.#requests.isLive(row) || this.#requests.i32[at + GROUP] !== group) continue;
      const taken = this.#requests.f64[at / 2 + VPN]! * 2 + this.#requests.i32[at + WRITE]!;
      this.#requests.free(row);
      return taken;
    }
    return -1;
  }

  #answer(group: number, response: number): void {
    while (this.#take(group) >= 0) continue;
    this.#groups.i32[group * GROUP_STRIDE] = ANSWERED;
    this.#groups.i32[group * GROUP_STRIDE + RESPONSE] = response;
    if (this.#context.events.observed)
      this.#context.events.emit({
        kind: "response",
        response: RESPONSE_NAMES.get(response) ?? "FAILURE",
        vpn: 0,
        write: false,
      });
  }

  #state(group: number): number {
    return this.#groups.i32[group * GROUP_STRIDE]!;
  }

  #nextGroup(): number {
    for (let group = 1; group < this.#groups.used; group++) if (this.#state(group) === PENDING) return group;
    return 0;
  }
}

const RESPONSE_NAMES = new Map([
  [IOMMU_PAGE_RESP_SUCCESS, "SUCCESS"],
  [IOMMU_PAGE_RESP_INVALID, "INVALID"],
  [IOMMU_PAGE_RESP_FAILURE, "FAILURE"],
]);

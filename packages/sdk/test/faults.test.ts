import type { Path } from "@mmu-notifier/steps";
import { spinUntil, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  abortOnFault,
  type DeviceFault,
  FAULT_ABORT,
  FAULT_RETRY,
  type FaultServices,
  IOMMU_PAGE_RESP_FAILURE,
  IOMMU_PAGE_RESP_INVALID,
  IOMMU_PAGE_RESP_SUCCESS,
  PageRequestQueue,
  type PageRequestQueueOptions,
  softwareFault,
} from "../src/index.js";
import { hardware } from "./context.js";

const FAULT: DeviceFault = { code: "F_PERMISSION", vpn: 3, write: true };

function setUp(options: Partial<PageRequestQueueOptions> = {}, answers: Readonly<Record<number, number>> = {}) {
  const bench = hardware();
  const asked: number[] = [];
  const writes: boolean[] = [];
  const faults: FaultServices = {
    *handleMmFault(vpn, write): Path<number> {
      return yield step("handle_mm_fault", () => {
        asked.push(vpn);
        writes.push(write);
        return answers[vpn] ?? IOMMU_PAGE_RESP_SUCCESS;
      });
    },
    *getUserPages() {
      return -14;
    },
  };
  const queue = new PageRequestQueue(bench.context, { faults, ...options });
  if (options.worker === "task") bench.scheduler.spawn("iopf", queue.worker.run, { again: true });
  const request = (...pages: number[]) =>
    bench.scheduler.run(queue.request(pages.map((vpn) => ({ vpn, write: true }))));
  return { ...bench, queue, faults, asked, writes, request };
}

describe.each(["requester", "task"] as const)("PageRequestQueue, served by a %s", (worker) => {
  it("answers a group once, after its last request, and leaves nothing behind", () => {
    const { request, asked, memory } = setUp({ worker });
    const before = memory.save();

    expect(request(3, 4, 5)).toBe(IOMMU_PAGE_RESP_SUCCESS);

    expect(asked).toEqual([3, 4, 5]);
    expect(memory.equals(before)).toBe(true);
  });

  it("lets the first failure decide the answer of the group", () => {
    const { request, asked } = setUp({ worker }, { 4: IOMMU_PAGE_RESP_INVALID });

    expect(request(3, 4, 5)).toBe(IOMMU_PAGE_RESP_INVALID);
    expect(asked).toEqual([3, 4]);
  });

  it("stops the device after a Failure", () => {
    const { request, queue, asked } = setUp({ worker }, { 3: IOMMU_PAGE_RESP_FAILURE });

    expect(request(3)).toBe(IOMMU_PAGE_RESP_FAILURE);
    expect(queue.stopped).toBe(true);
    expect(request(4)).toBe(IOMMU_PAGE_RESP_FAILURE);
    expect(asked).toEqual([3]);
  });
});

describe("PageRequestQueue", () => {
  it("asks for each page with the right that is wanted of it", () => {
    const { queue, scheduler, asked, writes, seen } = setUp();
    const pages = [true, false, true, false].map((write, at) => ({ vpn: 3 + at, write }));

    expect(scheduler.run(queue.request(pages))).toBe(IOMMU_PAGE_RESP_SUCCESS);

    expect([asked, writes]).toEqual([
      [3, 4, 5, 6],
      [true, false, true, false],
    ]);
    expect(seen).toEqual([{ kind: "response", response: "SUCCESS", vpn: 0, write: false }]);
  });

  it("takes a group that just fits, and works again when it is turned on again", () => {
    const { queue, request, seen } = setUp({ depth: 2 });
    expect(request(3, 4)).toBe(IOMMU_PAGE_RESP_SUCCESS);
    expect(queue.overflowed).toBe(false);
    queue.setEnabled(false);
    expect(request(3)).toBe(IOMMU_PAGE_RESP_FAILURE);
    expect(queue.stopped).toBe(false);
    queue.setEnabled(true);
    expect(request(3)).toBe(IOMMU_PAGE_RESP_SUCCESS);
    expect(seen.filter(({ kind }) => kind === "error")).toEqual([]);
  });

  it("answers every group that is outstanding when it is discarded, and keeps none of their requests", () => {
    const { queue, costs, scheduler, asked, memory, seen } = setUp({ worker: "task" });
    scheduler.kill(scheduler.tasks.find(({ name }) => name === "iopf")!);
    const before = memory.save();
    const answers: number[] = [];
    function* ask(first: number): Path {
      answers.push(yield* queue.request([first, first + 1].map((vpn) => ({ vpn, write: true }))));
    }
    for (const first of [3, 5]) scheduler.spawn(`device ${first}`, () => ask(first));
    function* discard(): Path {
      yield spinUntil("both wait", () => costs.of("pageRequests") === 4);
      yield step("discard", () => {
        queue.discard();
        return 0;
      });
      yield spinUntil("both have their answer", () => answers.length === 2);
    }
    scheduler.run(discard());

    expect(answers).toEqual([IOMMU_PAGE_RESP_INVALID, IOMMU_PAGE_RESP_INVALID]);
    expect(asked).toEqual([]);
    expect(seen.map((event) => event.kind === "response" && event.response)).toEqual(["INVALID", "INVALID"]);
    expect(memory.equals(before)).toBe(true);
  });

  it("is answered Failure by the hardware while it is off", () => {
    const { request, queue } = setUp();
    queue.setEnabled(false);

    expect(request(3)).toBe(IOMMU_PAGE_RESP_FAILURE);
  });

  it("is answered Success by the hardware when it is full: the device tries its translation again", () => {
    const { request, queue, asked, seen } = setUp({ depth: 2 });

    expect(request(3, 4, 5)).toBe(IOMMU_PAGE_RESP_SUCCESS);

    expect(asked).toEqual([]);
    expect(queue.overflowed).toBe(true);
    expect(seen).toContainEqual(expect.objectContaining({ kind: "error", code: "PRIQ_OVERFLOW" }));
  });

  it("answers what is outstanding with Invalid when it is discarded (§5.4, race 4)", () => {
    const { queue, scheduler } = setUp({ worker: "requester" });
    const path = queue.request([{ vpn: 3, write: false }]);
    const answered = scheduler.run(
      (function* (): Path<number> {
        const first = path.next(0);
        const row = yield first.value as never;
        yield step("unbind", () => {
          queue.discard();
          return 0;
        });
        let next = path.next(row);
        while (next.done !== true) next = path.next(yield next.value);
        return next.value;
      })(),
    );

    expect(answered).toBe(IOMMU_PAGE_RESP_INVALID);
  });

  it("as a fault strategy retries on Success and aborts otherwise", () => {
    const good = setUp();
    const bad = setUp({}, { 3: IOMMU_PAGE_RESP_INVALID });

    expect(good.scheduler.run(good.queue.strategy().handle(FAULT))).toBe(FAULT_RETRY);
    expect(bad.scheduler.run(bad.queue.strategy().handle(FAULT))).toBe(FAULT_ABORT);
  });

  it("runs what is wanted before the retry", () => {
    const before: number[] = [];
    const { queue, scheduler } = setUp({
      *beforeRetry({ vpn }) {
        yield step("invalidate", () => before.push(vpn));
      },
    });

    scheduler.run(queue.strategy().handle(FAULT));

    expect(before).toEqual([3]);
  });
});

describe("fault strategies", () => {
  it("software asks nobody for a device that is off its process, and does what is wanted before the retry", () => {
    const { context, faults, scheduler, asked } = setUp();
    const through = { dead: false };
    const order: string[] = [];
    const strategy = softwareFault(context, faults, {
      through,
      *beforeRetry({ vpn }) {
        yield step("before", () => order.push(`before ${vpn}`));
      },
    });
    expect(scheduler.run(strategy.handle(FAULT))).toBe(FAULT_RETRY);
    expect([asked, order]).toEqual([[3], ["before 3"]]);
    through.dead = true;
    expect(scheduler.run(strategy.handle(FAULT))).toBe(FAULT_ABORT);
    expect([asked, order]).toEqual([[3], ["before 3"]]);
  });

  it("abort asks nobody", () => {
    const { scheduler } = hardware();

    expect(scheduler.run(abortOnFault().handle(FAULT))).toBe(FAULT_ABORT);
  });

  it("software asks the host and counts faults that had nothing to resolve", () => {
    const { scheduler, context, faults, costs } = setUp();
    const strategy = softwareFault(context, faults, { table: { peek: () => 0b111 } });

    expect(scheduler.run(strategy.handle(FAULT))).toBe(FAULT_RETRY);
    expect(costs.of("spuriousFaults")).toBe(1);
  });
});

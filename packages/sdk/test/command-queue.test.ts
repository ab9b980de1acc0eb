import { step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  atcInv,
  CERROR_ATC_INV_SYNC,
  CMDQ_TIMEOUT,
  type Command,
  CommandQueue,
  type CommandQueueOptions,
  mnemonicOf,
  SdkError,
  tlbiNhVa,
} from "../src/index.js";
import { hardware } from "./context.js";

function setUp(options: Partial<CommandQueueOptions> = {}) {
  const bench = hardware();
  const executed: Command[] = [];
  const state = { drained: true };
  const queue = new CommandQueue(bench.context, {
    ...options,
    target: { execute: (command) => executed.push(command), drained: () => state.drained },
  });
  if (options.consumer === "hardware") bench.scheduler.spawn("cmdq", queue.hardware.run, { again: true });
  return {
    ...bench,
    queue,
    executed,
    state,
    run: (commands: readonly Command[]) => bench.scheduler.run(queue.issue(commands)),
  };
}

const pages = (count: number): Command[] => Array.from({ length: count }, (_, i) => tlbiNhVa(1, i));

describe.each(["waiter", "hardware"] as const)("CommandQueue, executed by the %s", (consumer) => {
  it("executes in order and completes with the CMD_SYNC", () => {
    const { run, executed, queue, costs } = setUp({ consumer });

    expect(run(pages(3))).toBe(0);

    expect(executed.map(({ start }) => start)).toEqual([0, 1, 2]);
    expect(queue.pending).toBe(0);
    expect(costs.report()).toMatchObject({ syncs: 1, commands: { CMD_TLBI_NH_VA: 3, CMD_SYNC: 1 } });
  });

  it("waits for room in a full queue and loses nothing", () => {
    const { run, executed } = setUp({ consumer, depth: 5, batch: 4 });

    expect(run(pages(50))).toBe(0);

    expect(executed.map(({ start }) => start)).toEqual(pages(50).map(({ start }) => start));
  });

  it("is equal to what it was when it is empty again", () => {
    const { run, memory } = setUp({ consumer });
    const before = memory.save();

    run(pages(7));

    expect(memory.equals(before)).toBe(true);
  });

  it("ends with a time-out when the hardware stands still, whether it waits for room or for the barrier", () => {
    const full = setUp({ consumer, depth: 5, batch: 4 });
    full.queue.halt(true);
    expect(full.run(pages(4))).toBe(CMDQ_TIMEOUT);
    expect(full.run(pages(4))).toBe(CMDQ_TIMEOUT);

    expect(full.costs.of("timeouts")).toBe(2);
    expect(full.seen.filter((event) => event.kind === "error").map((event) => event.message)).toEqual([
      "CMDQ timeout: CMD_SYNC did not complete",
      "CMDQ timeout: no room for 5 commands in a queue of 5",
    ]);
  });

  it("reports a device that did not answer at the next CMD_SYNC, once", () => {
    const { run, queue } = setUp({ consumer });
    queue.atcTimedOut();

    expect(run([atcInv(0, 1, 0, 1)])).toBe(CERROR_ATC_INV_SYNC);
    expect(run([atcInv(0, 1, 0, 1)])).toBe(0);
  });
});

describe("CommandQueue", () => {
  it.each([
    [64, false, 1],
    [65, false, 1],
    [200, false, 1],
    [62, true, 1],
    [63, true, 1],
    [64, true, 2],
    [200, true, 4],
  ])("issues %i commands, FORCE_SYNC %s, with %i barriers", (count, forceSync, syncs) => {
    const { run, costs } = setUp({ forceSync, depth: 256 });

    run(pages(count));

    expect(costs.of("syncs")).toBe(syncs);
  });

  it("does not complete CMD_SYNC before what was invalidated is out of use", () => {
    const { queue, state, scheduler, executed } = setUp();
    state.drained = false;
    scheduler.spawn("access", function* () {
      yield step("access", () => ((state.drained = true), 0));
    });

    scheduler.run(queue.issue(pages(1)));

    expect(state.drained).toBe(true);
    expect(executed).toHaveLength(1);
  });

  it("refuses a depth that holds no whole batch and its barrier", () => {
    expect(() => setUp({ depth: 64 })).toThrow(SdkError);
    expect(() => setUp({ depth: 65 })).not.toThrow();
  });

  it("names commands as the specification does", () => {
    expect(mnemonicOf(0x12)).toBe("CMD_TLBI_NH_VA");
    expect(mnemonicOf(0x46)).toBe("CMD_SYNC");
  });
});

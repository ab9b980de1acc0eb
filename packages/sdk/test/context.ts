import { FOUR_LEVEL, type Geometry } from "@mmu-notifier/core";
import { Memory, Scheduler } from "@mmu-notifier/steps";
import {
  Costs,
  type DeviceEvent,
  DeviceEvents,
  DeviceMemory,
  FailurePoints,
  type HardwareContext,
} from "../src/index.js";

/** A hardware context without a kernel. */
export function hardware(geometry: Geometry = FOUR_LEVEL) {
  const memory = new Memory();
  const spans = geometry.bits.map((_, level) =>
    geometry.bits.slice(0, level).reduce((pages, bits) => pages * 2 ** bits, 1),
  );
  const events = new DeviceEvents();
  const seen: DeviceEvent[] = [];
  const context: HardwareContext = {
    memory: new DeviceMemory(memory, "dev"),
    costs: new Costs(),
    events,
    failures: new FailurePoints(),
    geometry,
    spans,
  };
  events.stream.subscribe((event) => seen.push(event));
  return { memory, context, seen, costs: context.costs, scheduler: new Scheduler() };
}

import { MMU_NOTIFY_EVENTS, NOTIFICATION_PHASES } from "@mmu-notifier/bus";
import fc from "fast-check";
import { type Act, ACTS, type IntervalAct, type Subscriber } from "./reference-bus.js";

/** One thing that is done to the bus. Numbers pick among what is there. */
export type Op =
  | {
      readonly do: "subscribe";
      readonly mm: number;
      readonly subscriber: Omit<Subscriber, "name">;
    }
  | { readonly do: "leave" | "unregister" | "remove" | "read"; readonly pick: number }
  | {
      readonly do: "start";
      readonly mm: number;
      readonly pages: readonly [number, number];
      readonly event: (typeof MMU_NOTIFY_EVENTS)[number];
      readonly owner: number | undefined;
      readonly blockable: boolean;
    }
  | { readonly do: "end"; readonly pick: number; readonly onlyEnd: boolean }
  | {
      readonly do: "hook" | "change-pte" | "clear-flush-young" | "clear-young" | "test-young";
      readonly mm: number;
      readonly pages: readonly [number, number];
    }
  | { readonly do: "release"; readonly mm: number }
  | {
      readonly do: "insert";
      readonly mm: number;
      readonly pages: readonly [number, number];
      readonly act: IntervalAct;
      /** By a caller that holds mmap_lock. */
      readonly locked: boolean;
    };

const mmIndex = fc.constantFrom(0, 0, 0, 0, 1, 2);
const pages = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 4 }));
const pick = fc.nat(7);
const acts = fc.dictionary(
  fc.constantFrom("start", "start", "end", ...NOTIFICATION_PHASES),
  // Those that end a run are rare.
  fc.constantFrom<Act>(...ACTS.slice(0, -1), ...ACTS.slice(0, -1), ...ACTS.slice(0, -1), "sleep"),
  { maxKeys: 4 },
);
const subscriber = fc.record({
  phases: fc.oneof(
    fc.subarray([...NOTIFICATION_PHASES]),
    fc.constantFrom(["start", "end"] as const, ["invalidate-range", "arch-invalidate-secondary-tlbs"] as const),
  ),
  except: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray([...MMU_NOTIFY_EVENTS])),
  acts,
  late: fc.boolean(),
});
export const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("subscribe" as const), mm: mmIndex, subscriber }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("leave", "unregister", "remove", "read"), pick }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("start" as const),
      mm: mmIndex,
      pages,
      event: fc.constantFrom(...MMU_NOTIFY_EVENTS),
      owner: fc.constantFrom(undefined, 0, 7),
      blockable: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("end" as const), pick, onlyEnd: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("hook", "change-pte", "clear-flush-young", "clear-young", "test-young"),
      mm: mmIndex,
      pages,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("release" as const), mm: mmIndex }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("insert" as const),
      mm: mmIndex,
      pages,
      act: fc.constantFrom<IntervalAct>("obey", "obey", "refuse", "throw"),
      locked: fc.boolean(),
    }),
  },
);

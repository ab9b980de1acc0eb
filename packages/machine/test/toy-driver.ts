import {
  abortOnFault,
  type BindingContext,
  chain,
  defineSecondaryMmu,
  iotlb,
  type MmuNotification,
  phases,
  type SecondaryMmuDefinition,
  step,
} from "@mmu-notifier/sdk";

export interface ToyOptions {
  readonly ways: number;
  readonly ignore: readonly string[];
  /** Where the driver throws. */
  readonly fails: "never" | "create" | "callback" | "step" | "access";
}

/** A device with a small IOTLB that drops everything on each hook call, and that can be told to fail. */
export function toyDriver(name = "toy"): SecondaryMmuDefinition<undefined, ToyOptions> {
  return defineSecondaryMmu<undefined, ToyOptions>({
    name,
    sdk: 1,
    summary: "a small IOTLB",
    declares: {
      pageTable: "shared-walk",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: [],
      filters: [],
    },
    options: { ways: 4, ignore: [], fails: "never" },
    create: (context) => bind(context),
  });
}

function bind(context: BindingContext<undefined, ToyOptions>) {
  const { options, mm, walker, notifications } = context;
  if (options.fails === "create") throw new Error("no room for another address space");
  const tlb = iotlb(context, { sets: 1, ways: options.ways, hitPolicy: "fault-from-tlb" });
  const translation = chain(
    tlb.stage(() => mm.asid(), walker),
    walker,
  );
  return {
    translation:
      options.fails === "access"
        ? {
            *translate() {
              yield* [];
              throw new Error("the walker met a descriptor it does not know");
            },
          }
        : translation,
    connection: notifications
      .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs"))
      .subscribe((notification: MmuNotification) => {
        if (options.fails === "callback") throw new TypeError("range is not iterable");
        notification.waitUntil(function* () {
          yield step("drop everything", () => {
            if (options.fails === "step") throw new Error("queue is full");
            tlb.invalidateASID(mm.asid());
            return 0;
          });
        });
      }),
    fault: abortOnFault(),
    *unbind() {
      yield* [];
    },
    entries: () => tlb.entries(mm.asid()),
  };
}

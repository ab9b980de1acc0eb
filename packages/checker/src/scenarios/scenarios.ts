import { CHANGES } from "./changes.js";
import { CONTENTS } from "./contents.js";
import { HARDWARE } from "./hardware.js";
import type { Scenario } from "./scenario.js";
import { TWO_SPACES } from "./two-spaces.js";
import { UPGRADES } from "./upgrades.js";

/** Hardware of another make under the same driver: the scenarios that it makes a difference to. */
const VARIANTS: readonly {
  readonly suffix: string;
  readonly title: string;
  readonly options: NonNullable<Scenario["options"]>;
  readonly of: readonly string[];
}[] = [
  {
    suffix: "+ats",
    title: "the device has a translation cache of its own",
    options: { ats: true },
    of: ["X1", "X1a", "X2", "X4", "X4a", "X5b", "X6", "X9", "X11", "X12", "X16", "X16a", "X17", "X21", "X24"],
  },
  {
    suffix: "+walk-cache",
    title: "the IOMMU caches entries of upper levels",
    options: { walkCacheEntries: 2 },
    of: ["X6", "X9", "X17", "X24", "X25"],
  },
  {
    suffix: "+hardware-queue",
    title: "commands are executed whenever the hardware likes",
    options: { queueConsumer: "hardware" },
    of: ["X4", "X5b", "X6", "X16"],
  },
  {
    suffix: "+queued-dvm",
    title: "broadcasts take effect some time before the barrier after them",
    options: { dvm: "queued" },
    of: ["X4", "X5b", "X6", "X16"],
  },
  {
    suffix: "+queued-dvm+ats",
    title: "broadcasts take their time, and the device has a translation cache of its own",
    options: { dvm: "queued", ats: true },
    of: ["X4", "X5b", "X6"],
  },
];

const BASIC: readonly Scenario[] = [...UPGRADES, ...CHANGES, ...HARDWARE, ...CONTENTS, ...TWO_SPACES];

type Variant = (typeof VARIANTS)[number];

function variantOf(scenario: Scenario, { suffix, title, options }: Variant): Scenario {
  return {
    ...scenario,
    id: `${scenario.id}${suffix}`,
    title: `${scenario.title}; ${title}`,
    options: { ...scenario.options, ...options },
    variant: true,
  };
}

/**
 * Every scenario that a driver is put through, in the order of their numbers.
 *
 * @public
 */
export const scenarios: readonly Scenario[] = BASIC.flatMap((scenario) =>
  [scenario].concat(
    VARIANTS.filter(({ of }) => of.includes(scenario.id)).map((variant) => variantOf(scenario, variant)),
  ),
).sort((a, b) => numberOf(a) - numberOf(b));

function numberOf({ id }: Scenario): number {
  return Number.parseInt(id.slice(1), 10);
}

/** A way in which a page becomes writable without changing its frame, as a script. The last line is the device's write. */
export interface UpgradeScenario {
  readonly name: string;
  readonly title: string;
  /** The kernel function that gives the right. */
  readonly path: string;
  /** Ops of the script, without header and device. */
  readonly ops: readonly string[];
}

/** Every scenario ends with the device reading page 0 and then writing it. */
export const UPGRADE_SCENARIOS: readonly UpgradeScenario[] = [
  {
    name: "clean-shmem",
    title: "a clean page of shared memory",
    path: "handle_pte_fault",
    ops: ["map 0 4 rw- s mem"],
  },
  {
    name: "reuse",
    title: "fork, the child exits: reuse",
    path: "wp_page_reuse",
    ops: ["map 0 4 rw- p anon", "write 0", "fork", "reap 0"],
  },
  {
    name: "hugetlb",
    title: "a private hugetlb page, read before",
    path: "hugetlb_fault",
    ops: ["map 0 512 rw- p huge"],
  },
  {
    name: "thp-reuse",
    title: "a huge page after fork: reuse",
    path: "do_huge_pmd_wp_page",
    ops: ["map 0 1024 rw- p anon", "advise 0 1024 hugepage", "write 0", "fork", "reap 0"],
  },
  {
    name: "dax-mkwrite",
    title: "a DAX file, read before",
    path: "insert_pfn",
    ops: ["dax f 8", "map 0 4 rw shared fd=f"],
  },
];

/** A driver with options, as the tables name it. */
export interface Variant {
  readonly title: string;
  /** Name of a registered driver. */
  readonly driver: string;
  /** Words after the driver's name in a `device` line, for instance `ats queueDepth=128`. */
  readonly options: string;
  /** Name of the architecture. @defaultValue arm64 */
  readonly arch?: string;
}

/** The script of one trial. */
export function scriptOf(scenario: UpgradeScenario, variant: Variant): string {
  return [
    `== ${scenario.name} arena 1024`,
    `device dev0 driver ${variant.driver} ${variant.options}`.trimEnd(),
    ...scenario.ops,
    "dev dev0 read 0",
    "dev dev0 write 0",
    "",
  ].join("\n");
}

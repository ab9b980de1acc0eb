import type { KernelProfile, UpgradeEventSites } from "@mmu-notifier/core";
import type { Scenario } from "../scenarios/scenario.js";
import { scenarios } from "../scenarios/scenarios.js";
import { SITUATIONS } from "./situations.js";
import type { WatchId } from "./watches.js";

/** A change to the patch that takes one of its faults out of the way of another. */
export interface Amendment {
  /** Name of the changed kernel. */
  readonly kernel: string;
  /** What is changed, in words. */
  readonly words: string;
  readonly sites: Partial<UpgradeEventSites>;
  readonly profile?: Partial<KernelProfile>;
}

/** A driver with options. */
export interface DriverChoice {
  readonly driver: string;
  readonly options: Readonly<Record<string, string | number | boolean>>;
}

/** One search: a situation, a driver in it, and what is watched beside the rules that hold always. */
export interface PatchCase {
  /** Unique: the question's, with a letter from the second case on. */
  readonly id: string;
  readonly scenario: Scenario;
  /** undefined is the driver that the trial is about. */
  readonly driver: DriverChoice | undefined;
  readonly arch?: string;
  readonly watches: readonly WatchId[];
  readonly amended?: Amendment;
  /** Why this driver is asked here, or what the case adds to the one before. */
  readonly because: string;
}

/**
 * A question that reading the patch raised (kernel-mm §8), and the searches that answer it.
 *
 * @public
 */
export interface PatchQuestion {
  readonly id: string;
  readonly question: string;
  readonly cases: readonly PatchCase[];
  /** The part of the question that no search decides, and what would. */
  readonly open?: string;
}

const known = (id: string): Scenario => scenarios.find((scenario) => scenario.id === id)!;

interface Draft extends Partial<Pick<PatchCase, "driver" | "arch" | "amended" | "watches">> {
  readonly scenario: Scenario;
  readonly because: string;
}

function question(id: string, text: string, drafts: readonly Draft[], open?: string): PatchQuestion {
  return {
    id,
    question: text,
    cases: drafts.map(({ driver, watches = [], ...draft }, index) => ({
      ...draft,
      id: `${id}${index === 0 ? "" : String.fromCharCode(97 + index)}`,
      driver,
      watches,
    })),
    ...(open === undefined ? {} : { open }),
  };
}

/** A mirror that does what a driver does that never heard of the event: all but the filter is kvm's. */
const ACTS: DriverChoice = { driver: "kvm", options: { filter: false } };
const trialMirror = (options: DriverChoice["options"] = {}): DriverChoice => ({ driver: "trial-mirror", options });

const REUSE_TOLD: Amendment = {
  kernel: "v6.4+upgrade-event, and wp_page_reuse tells",
  words: "Q1 repaired, so that what is found is not that",
  sites: { wpPageReuse: "after-ptl" },
};
const COPY_MOVED: Amendment = {
  kernel: "v6.4+upgrade-event, and the copy tells late",
  words: "Q5 repaired: the call moved past the unlock, under kmap_local_page() as in v6.5",
  sites: { wpPageCopyUser: "after-ptl" },
  profile: { version: [6, 5] },
};
const COPY_SILENT: Amendment = {
  kernel: "v6.4+upgrade-event, and the copy is silent",
  words: "the call taken out",
  sites: { wpPageCopyUser: "no" },
};

/**
 * The questions about MMU_NOTIFY_PROTECTION_UPGRADE, in the order of the reference.
 *
 * @public
 */
export const patchQuestions: readonly PatchQuestion[] = [
  question("Q1", "does the event come when an anonymous or file page is reused in place?", [
    { scenario: known("X1"), because: "wp_page_reuse(), by the CPU" },
    { scenario: known("X1b"), because: "the same after page_mkwrite()" },
    { scenario: known("X2"), because: "wp_page_reuse(), by the device's own fault" },
  ]),
  question("Q2", "does it come for huge pages?", [
    { scenario: known("X1c"), because: "do_huge_pmd_wp_page()" },
    { scenario: SITUATIONS.hugeClean, because: "huge_pmd_set_accessed()" },
    { scenario: SITUATIONS.hugeDax, because: "insert_pfn_pmd()" },
  ]),
  question("Q3", "does it come when a page is swapped in and made writable in one go?", [
    { scenario: SITUATIONS.swapIn, because: "do_swap_page() and do_wp_page()", amended: REUSE_TOLD },
  ]),
  question("Q4", "is the event of the copy path of any use?", [
    {
      scenario: SITUATIONS.copied,
      driver: { driver: "kvm", options: {} },
      watches: ["idle-event"],
      because: "what it tells; the notifiers are the child's",
      amended: COPY_MOVED,
    },
    { scenario: known("X26"), because: "who misses it when it does not come", amended: COPY_SILENT },
  ]),
  question("Q5", "may callbacks sleep where the copy path sends it?", [
    { scenario: known("X26"), because: "start might sleep, for any driver" },
  ]),
  question("Q6", "is hugetlb told too often?", [
    {
      scenario: SITUATIONS.hugeCopy,
      driver: ACTS,
      watches: ["idle-event"],
      because: "hugetlb_wp() made a copy, and CLEAR has told",
    },
    {
      scenario: SITUATIONS.hugePin,
      driver: ACTS,
      watches: ["idle-event"],
      because: "hugetlb_wp() only unshared",
    },
  ]),
  question("Q7", "does the second update_mmu_cache() of hugetlb race?", [
    {
      scenario: SITUATIONS.hugeGone,
      driver: { driver: "kvm", options: {} },
      because: "the CPU's TLB is in danger; any driver will do",
    },
  ]),
  question("Q8", "is 'changed' the same as 'gained a right'?", [
    { scenario: SITUATIONS.oldPage, driver: ACTS, watches: ["idle-event"], because: "only the access flag changed" },
    { scenario: SITUATIONS.twoWriters, driver: ACTS, watches: ["idle-event"], because: "nothing changed at all" },
  ]),
  question("Q9", "what does a start after the change do to a mirror that acts on it?", [
    { scenario: known("X1a"), driver: ACTS, watches: ["late-start"], because: "the contract of start" },
    { scenario: SITUATIONS.mirrored, driver: ACTS, watches: ["repeated-fault"], because: "what it costs" },
    { scenario: SITUATIONS.gone, driver: ACTS, because: "whether anything breaks" },
  ]),
  question("Q10", "does a device whose own fault raises the event get through?", [
    { scenario: SITUATIONS.ownWrite, driver: ACTS, because: "kvm asks the page table first" },
    { scenario: SITUATIONS.ownWrite, driver: ACTS, watches: ["repeated-fault"], because: "and what that costs" },
    {
      scenario: SITUATIONS.ownRead,
      driver: trialMirror({ alwaysFaults: true }),
      arch: "riscv64",
      because: "a driver that calls handle_mm_fault() every time",
    },
    {
      scenario: SITUATIONS.ownRead,
      driver: trialMirror({ alwaysFaults: true }),
      arch: "arm64",
      because: "the same where only a change counts as changed",
    },
  ]),
  question("Q11", "does any lock order close a cycle through the new calls?", [
    {
      scenario: SITUATIONS.ownWrite,
      driver: trialMirror({ holdsLock: true }),
      because: "a driver that faults with its callbacks' lock held",
    },
    { scenario: SITUATIONS.ownWrite, driver: ACTS, because: "one that does not" },
  ]),
  question(
    "Q12",
    "does an event that nobody filters do harm?",
    [
      {
        scenario: SITUATIONS.mirrored,
        driver: trialMirror(),
        watches: ["repeated-fault"],
        because: "a driver's default branch",
      },
      {
        scenario: SITUATIONS.mirrored,
        driver: trialMirror({ onUpgrade: "ignores" }),
        watches: ["repeated-fault"],
        because: "the same driver with a filter",
      },
    ],
    "that the enum's value is inserted mid-list and a name in kernel-doc is misspelt is a matter of headers: compiling a module against the old and loading it into the new kernel decides it; an owner that nobody initialises is so for every event but MIGRATE and EXCLUSIVE, which KMSAN shows",
  ),
  question("Q13", "is an event harmless whose page is gone when it comes?", [
    { scenario: SITUATIONS.gone, because: "a driver that only invalidates" },
    {
      scenario: SITUATIONS.cleaned,
      driver: trialMirror({ onUpgrade: "widens" }),
      because: "what the patch forbids drivers",
    },
    { scenario: SITUATIONS.cleaned, driver: trialMirror(), because: "the same driver when it only invalidates" },
  ]),
  question("Q14", "does a device that retries before the event comes get through at last?", [
    { scenario: known("X1a"), because: "in the end" },
    { scenario: known("X1a"), watches: ["repeated-fault"], because: "and whether it faults more than once on the way" },
  ]),
  question("Q15", "what does it cover?", [
    { scenario: known("X1a"), because: "handle_pte_fault()" },
    { scenario: known("X1d"), because: "insert_pfn()" },
    { scenario: known("X11"), because: "hugetlb_fault()" },
    { scenario: SITUATIONS.mprotected, because: "mprotect(), which needs no event" },
  ]),
];

/** A question that reading the patch raised (kernel-mm §8), and the scenarios that answer it by search. */
export interface PatchQuestion {
  readonly id: string;
  readonly question: string;
  /** Scenarios in which the answer shows; none when no search decides it. */
  readonly scenarios: readonly string[];
  /** Why no scenario decides it. */
  readonly undecided?: string;
}

/**
 * The questions about MMU_NOTIFY_PROTECTION_UPGRADE, in the order of the reference.
 *
 * @public
 */
export const patchQuestions: readonly PatchQuestion[] = [
  {
    id: "Q1",
    question: "does the event come when an anonymous or file page is reused in place?",
    scenarios: ["X1", "X1b", "X2"],
  },
  { id: "Q2", question: "does it come for huge pages?", scenarios: ["X1c"] },
  {
    id: "Q3",
    question: "does it come when a page is swapped in and made writable in one go?",
    scenarios: [],
    undecided:
      "a device that looks between the two stores has faulted on the swap entry itself, and two swap-ins of one entry at a time are not in the model",
  },
  {
    id: "Q4",
    question: "is the event of the copy path of any use?",
    scenarios: [],
    undecided: "it costs an invalidation and breaks nothing: see `mmun verdicts`",
  },
  { id: "Q5", question: "may callbacks sleep where the copy path sends it?", scenarios: ["X26"] },
  { id: "Q6", question: "is hugetlb told too often?", scenarios: [], undecided: "a matter of cost, not of order" },
  {
    id: "Q7",
    question: "does the second update_mmu_cache() of hugetlb race?",
    scenarios: [],
    undecided: "no architecture of the model preloads its TLB from the entry",
  },
  {
    id: "Q8",
    question: "is 'changed' the same as 'gained a right'?",
    scenarios: [],
    undecided: "a matter of cost, not of order",
  },
  { id: "Q9", question: "does a start after the change break a mirror that acts on it?", scenarios: ["X5b", "X7"] },
  { id: "Q10", question: "does a device whose own fault raises the event get through?", scenarios: ["X2a"] },
  { id: "Q11", question: "does any lock order close a cycle through the new calls?", scenarios: ["X3", "X8"] },
  {
    id: "Q12",
    question: "does an event that nobody filters do harm?",
    scenarios: [],
    undecided: "a matter of cost, not of order",
  },
  { id: "Q13", question: "is an event harmless whose page is gone when it comes?", scenarios: ["X3"] },
  { id: "Q14", question: "does a device that retries before the event comes get through at last?", scenarios: ["X1a"] },
  { id: "Q15", question: "what does it cover?", scenarios: ["X1a", "X1d", "X11"] },
];

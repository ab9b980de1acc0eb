/** The rules that caches of translations are held to, in words: kernel-mm §6. */
export const RULES = {
  T1: "T1: a frame that is freed can be reached through no cached translation",
  T2: "T2: once a page has another frame, no cached translation leads to the old one, unless a flush of it is still to come",
  T3: "T3: when a call that took a page or a right away has returned, no cached translation grants more than the page table",
  T4: "T4: a page that a device wrote is known to be dirty",
  T7: "T7: after release nothing is translated any more",
  T10: "T10: a page table that is freed can be reached through no cached upper-level entry and no walk",
  W1: "W1: a callback issues no more commands than its driver declares",
  I1: "I1: a start that succeeds has exactly one end, of the same range",
  I2: "I2: from the return of a start to its end a mirror has nothing in the range that the change could hurt",
  I7: "I7: an entry loses its frame or a right between start and end of a range that covers it, and nowhere else",
  "LOST-WRITE": "what a device wrote through the page table's own frame goes with the page to its next frame",
  BBM: "an entry that changes its frame is none in between (break before make)",
  ORDER: "who has seen a store sees every store of before it",
  ISOLATION: "no access reaches a frame that belongs to another address space alone",
  V1: "V1: the sequence of an interval notifier is odd, so that no reader takes it for the mm's own",
  V2: "V2: the mm's sequence is odd only while an invalidation is under way",
  V3: "V3: what was put off has been done when the sequence is even",
  I4: "I4: a mirror grants no more than the page table, at any time",
  I5: "I5: a mirror leads to no frame that was freed",
} as const;

/** Name of a rule. */
export type RuleId = keyof typeof RULES;

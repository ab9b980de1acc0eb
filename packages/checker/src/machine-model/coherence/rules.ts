/** The rules that caches of translations are held to, in words: kernel-mm §6. */
export const RULES = {
  T1: "T1: a frame that is freed can be reached through no cached translation",
  T2: "T2: once a page has another frame, no cached translation leads to the old one, unless a flush of it is still to come",
  T3: "T3: when a call that took a page or a right away has returned, no cached translation grants more than the page table",
  T4: "T4: a page that a device wrote is known to be dirty",
  T7: "T7: after release nothing is translated any more",
  T10: "T10: a page table that is freed can be reached through no cached upper-level entry and no walk",
  I4: "I4: a mirror grants no more than the page table, at any time",
  I5: "I5: a mirror leads to no frame that was freed",
} as const;

/** Name of a rule. */
export type RuleId = keyof typeof RULES;

/** What entering a list returns when it is no chain: `mm->notifier_subscriptions` is NULL. */
export const NO_NOTIFIERS = 0;
/** Nobody on the list wants the call; the SRCU lock was not taken, or was dropped. */
export const NOBODY = 1;
/** The interval phase was passed through; the list is still to be entered. */
export const INTERVALS_PASSED = 2;
/** Nobody is left, and the SRCU lock is still held. */
export const NOBODY_LEFT = 3;
/** Results from here on are a chain (times 2) and an SRCU counter. */
export const FIRST_CHAIN = 4;

import type { FlushScope } from "@mmu-notifier/core";
import type { MmuNotifyEvent } from "@mmu-notifier/bus";

/** Whose page table the device reads: the CPU's own, a copy that the driver keeps, or one whose pages are pinned. */
export type PageTableSharing = "shared-walk" | "mirror" | "pinned";

/** What hardware does when a cached entry lacks the right that an access wants. `either` is for hardware that may do both. */
export type OnMissingRight = "fault" | "re-walk" | "either";

/**
 * The assumptions a driver rests on, made visible. A checker holds the driver to them; {@link checkDeclaration} looks for
 * contradictions before anything runs.
 *
 * @public
 */
export interface Declarations {
  readonly pageTable: PageTableSharing;
  readonly onMissingRight: OnMissingRight;
  /** Software resolves a permission fault against the host's entry, so that a cached read-only entry is never final. */
  readonly resolvesFaultsInSoftware: boolean;
  /** Reaches of the host's TLB flushes that also empty this device's caches. */
  readonly reachedByBroadcast: readonly FlushScope[];
  /** Events that the driver does not act on. */
  readonly filters: readonly MmuNotifyEvent[];
  /**
   * After a resolved fault the page is dropped from every cache on the way, before the access is tried again: an entry without the
   * right is then never final, whoever gave the right and told nobody.
   *
   * @defaultValue false
   */
  readonly dropsBeforeRetry?: boolean;
  /**
   * The device has an address translation cache of its own, which no broadcast reaches.
   *
   * @defaultValue false
   */
  readonly ats?: boolean;
  /**
   * The device asks for missing pages by itself.
   *
   * @defaultValue false
   */
  readonly pri?: boolean;
  /**
   * The walker sets the access flag.
   *
   * @defaultValue false
   */
  readonly ha?: boolean;
  /**
   * The walker manages the dirty state.
   *
   * @defaultValue false
   */
  readonly hd?: boolean;
  /**
   * The driver answers clear_flush_young, clear_young and test_young.
   *
   * @defaultValue false
   */
  readonly agesPages?: boolean;
  /**
   * Read-only translations are cached.
   *
   * @defaultValue true
   */
  readonly cachesReadOnly?: boolean;
  /**
   * The callbacks of start and end may sleep when the range is blockable.
   *
   * @defaultValue false
   */
  readonly maySleep?: boolean;
  /**
   * What a non-blockable start gets: done all the same, or -EAGAIN.
   *
   * @defaultValue 'proceeds'
   */
  readonly nonBlockable?: "proceeds" | "refuses";
  /** Token that marks MIGRATE and EXCLUSIVE ranges as this driver's own. */
  readonly owner?: number;
  /**
   * What one invalidation drops.
   *
   * @defaultValue 'page'
   */
  readonly granularity?: "page" | "power-of-two" | "whole";
  /**
   * When the effect of an invalidation is certain, and where an error of it shows.
   *
   * @defaultValue 'before-return'
   */
  readonly completes?: "before-return" | "at-next-sync";
  /**
   * What an access does after release.
   *
   * @defaultValue 'aborts'
   */
  readonly afterRelease?: "aborts" | "faults";
  /** Most commands that one callback may issue; a run that needs more is reported as COST. */
  readonly maxCommandsPerCall?: number;
}

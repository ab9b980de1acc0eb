import type { Path } from "@mmu-notifier/steps";
import type { Unsubscribable } from "rxjs";
import type { Declarations } from "./declarations.js";
import type { UpgradeDecision } from "./definition.js";
import type { FaultStrategy } from "./fault-strategy.js";
import type { Translation } from "./hardware/translation.js";

/** A path of the hardware's own, run again whenever it ends: a command queue's consumer, a page-request worker. */
export interface HardwareTask {
  readonly name: string;
  readonly run: () => Path<unknown>;
}

/** One translation that the device could use now without asking anybody. For checkers and pictures; see {@link Binding.entries}. */
export interface SecondaryEntry {
  /** Which cache or table holds it. */
  readonly where: "iotlb" | "atc" | "spte" | "vcpu-tlb" | "mirror";
  /** First page that it translates. */
  readonly vpn: number;
  readonly pages: number;
  /** Frame of the first page. */
  readonly pfn: number;
  readonly read: boolean;
  readonly write: boolean;
}

/** An upper-level entry in a cache: for pages [vpn, vpn + pages) the walk goes on in `table`, without looking at the levels above. */
export interface CachedTable {
  readonly vpn: number;
  readonly pages: number;
  readonly table: number;
}

/**
 * One device connected to one address space.
 *
 * @public
 */
export interface Binding {
  /** How an access finds its frame. */
  readonly translation: Translation;
  /**
   * What must be done before the device may be used and takes locks: inserting an interval notifier, pinning pages. Runs once, at
   * set-up, after `create`.
   *
   * @returns 0, or -errno, which refuses the binding
   */
  attach?(): Path<number>;
  /**
   * What joined the mm's notifier list; a driver with an interval notifier alone has none. Unsubscribed after {@link unbind} when
   * the binding is taken down at set-up.
   */
  readonly connection?: Unsubscribable;
  /** What happens when the translation fails. */
  readonly fault: FaultStrategy;
  /**
   * Takes the device off the address space: drains faults, makes every cached translation unusable. May sleep. Afterwards no access
   * completes. Idempotent, because an exiting mm calls release first.
   */
  unbind(): Path;
  /** Every cached translation that is usable now. Reads memory: call it between steps, never in a path. */
  entries(): readonly SecondaryEntry[];
  /** Upper-level entries that its walks would use now; absent when it keeps none. Between steps, as {@link entries}. */
  tables?(): readonly CachedTable[];
  /** The assumptions of this very binding, when they are not those of the definition: a fallback mode. */
  readonly declares?: Declarations;
  /** What this very binding does with upgrades, when that only became known while binding (a fallback mode). */
  readonly decision?: UpgradeDecision;
  /** Guest frame or other device address for a page of the address space; absent when they are the same numbers. */
  deviceAddress?: (vpn: number) => number;
}

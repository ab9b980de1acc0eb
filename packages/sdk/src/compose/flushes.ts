import { type MmuNotification, phases } from "@mmu-notifier/bus";
import type { Path } from "@mmu-notifier/steps";
import { isWholeMm, pageRange } from "../page-range.js";

/** What a device that walks the CPU's page table does when it hears of a flush. */
export interface FlushAnswers {
  /**
   * Entries of pages [start, end) may be stale; `end` is Infinity for the whole address space. Nothing says why. It may run under the
   * page-table lock, so it spins and never sleeps.
   */
  invalidate(start: number, end: number): Path<unknown>;
  /** The address space goes: no walk may begin any more, and nothing that is cached may be used. */
  release(): Path<unknown>;
}

/**
 * Operator: the hook that carries no event, under either of its names (`invalidate_range` up to v6.5, then
 * `arch_invalidate_secondary_tlbs`), and release. What the drivers of arm-smmu-v3, VT-d and AMD subscribe to.
 *
 * ```text
 * in:   start  invalidate-range  end  arch-invalidate-secondary-tlbs  release
 * out:         invalidate-range       arch-invalidate-secondary-tlbs  release
 * ```
 */
export function flushes(): ReturnType<typeof phases> {
  return phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release");
}

/** A subscriber that turns bytes into pages, tells release from the rest, and has the answer done before the kernel goes on. */
export function answering(answers: FlushAnswers): (notification: MmuNotification) => void {
  return (notification) => {
    if (notification.phase === "release") {
      notification.waitUntil(() => answers.release());
      return;
    }
    const { start, end } = isWholeMm(notification) ? { start: 0, end: Infinity } : pageRange(notification);
    notification.waitUntil(() => answers.invalidate(start, end));
  };
}

import type { MmuNotifyEvent } from "@mmu-notifier/bus";
import type { Device } from "@mmu-notifier/machine";
import type { BoundDevice, SecondaryEntry } from "@mmu-notifier/sdk";
import type { Report } from "../../engine/model.js";
import type { Windows } from "../watch/windows.js";
import type { Holder } from "./cached.js";
import type { PageName } from "./coherence.js";
import { RULES } from "./rules.js";

/** Events that take a right and leave the frame: a mirror may keep what it may read. */
const KEEPS_READING: ReadonlySet<MmuNotifyEvent> = new Set([
  "MMU_NOTIFY_PROTECTION_VMA",
  "MMU_NOTIFY_PROTECTION_PAGE",
  "MMU_NOTIFY_SOFT_DIRTY",
]);

/** What drivers with tables of their own do between start and end, and how their tables and the caches above them agree. */
export function mirrorReports(mirrors: readonly Holder[], windows: Windows, name: PageName, reports: Report[]): void {
  for (const { bound, device, index } of mirrors) {
    const entries = bound.binding.entries().filter(({ read, write }) => read || write);
    for (const entry of entries) {
      const events = windows.open(index, bound.mm, entry.vpn, entry.vpn + entry.pages);
      if (events.length > 0) announced(device, events, bound, entry, name, reports);
    }
    twoFrames(device, bound, entries, name, reports);
  }
}

/**
 * After a start and before its end nothing is left of what it announced. Events of a driver's own ranges, and those that it
 * ignores, are its own affair.
 */
function announced(
  device: Device,
  events: readonly MmuNotifyEvent[],
  { declarations, mm }: BoundDevice,
  { vpn, write }: SecondaryEntry,
  name: PageName,
  reports: Report[],
): void {
  for (const event of events) {
    if (event === "MMU_NOTIFY_PROTECTION_UPGRADE" || declarations.filters.includes(event)) continue;
    if (event === "MMU_NOTIFY_MIGRATE" || event === "MMU_NOTIFY_EXCLUSIVE") continue;
    if (!write && KEEPS_READING.has(event)) continue;
    const page = name(vpn, mm);
    reports.push({
      verdict: "CONTRACT",
      about: page,
      what: `${device.name} has ${page} mapped between the start and the end of ${event}`,
      rule: RULES.I2,
    });
  }
}

/** A table and a cache above it that lead to two frames: the entry was replaced and not broken and flushed first. */
function twoFrames(
  device: Device,
  { mm }: BoundDevice,
  entries: readonly SecondaryEntry[],
  name: PageName,
  reports: Report[],
): void {
  const tables = entries.filter(({ where }) => where === "spte" || where === "mirror");
  for (const cached of entries) {
    if (tables.includes(cached)) continue;
    for (const entry of tables) {
      const vpn = Math.max(entry.vpn, cached.vpn);
      if (vpn >= Math.min(entry.vpn + entry.pages, cached.vpn + cached.pages)) continue;
      const [old, now] = [cached.pfn + vpn - cached.vpn, entry.pfn + vpn - entry.vpn];
      if (old === now) continue;
      const page = name(vpn, mm);
      reports.push({
        verdict: "BBM",
        about: page,
        what: `${device.name}'s table leads from ${page} to frame ${now}, and a cache above it still to frame ${old}`,
        rule: RULES.BBM,
      });
    }
  }
}

import { type Agreement, agreementShare } from "./program/agreement.js";
import type {
  DeviceReport,
  PageReport,
  ProcessReport,
  ProgramReport,
  ReplayReport,
  UpgradeCost,
  UpgradeReport,
} from "./program/report.js";

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const hex = (bytes: number): string => bytes.toString(16);
const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, count) => all + count, 0);

/**
 * A report as lines of text.
 *
 * @public
 */
export function renderReport(report: ReplayReport): string {
  const lines = report.kind === "program" ? programLines(report) : pageLines(report);
  return `${lines.join("\n")}\n`;
}

function programLines(report: ProgramReport): string[] {
  const { trace, kernel, arch, records, processes, agreement, faults } = report;
  const recorded = processes.filter((process) => process.recorded);
  return [
    `${trace}: ${records} records, ${processes.length} processes, on ${kernel} (${arch})`,
    `faults: ${faults.replayed} replayed, ${faults.presumed} pages presumed mapped, ${faults.notNeeded} not needed, ${faults.refused} refused`,
    `system calls: ${counts(report.systemCalls)}${total(report.ignoredCalls) === 0 ? "" : `; ignored: ${counts(report.ignoredCalls)}`}`,
    `notifications of the model: ${counts(report.notifications)}`,
    ...report.lateReleases.map(({ pid, line }) => `child ${pid} exited, and its memory was gone by line ${line}`),
    `silent upgrades to writable: ${counts(report.upgrades)}`,
    "",
    `notifications against the trace: ${agreementText(agreement)}`,
    ...recorded.flatMap(processLines),
    ...report.devices.flatMap(deviceLines),
    ...errorLines(report.driverErrors),
    ...(report.upgradeEvent === undefined ? [] : upgradeLines(report.upgradeEvent)),
  ];
}

function pageLines({ trace, kernel, arch, accesses, tlb, notifications, devices, driverErrors }: PageReport): string[] {
  return [
    `${trace}: ${accesses} accesses, on ${kernel} (${arch})`,
    `TLB: ${tlb.l1Hits} L1 hits, ${tlb.l2Hits} L2 hits, ${tlb.walks} walks, ${tlb.faults} faults, ${tlb.upgrades} writes to read-only pages`,
    `notifications of the model: ${counts(notifications)}`,
    ...devices.flatMap(deviceLines),
    ...errorLines(driverErrors),
  ];
}

function counts(of: Readonly<Record<string, number>>): string {
  const parts = Object.entries(of).sort(([, a], [, b]) => b - a);
  return parts.length === 0 ? "none" : parts.map(([name, count]) => `${name} ${count}`).join(", ");
}

function agreementText(agreement: Agreement): string {
  const { matched, missing, extra } = agreement;
  if (matched + missing + extra === 0) return "none on either side";
  return `${percent(agreementShare(agreement))} (${matched} agree, ${missing} in the trace only, ${extra} in the model only)`;
}

function processLines(process: ProcessReport): string[] {
  const { pid, program, byCause, firstMissing, firstExtra } = process;
  const range = ({ start, end, line, cause }: (typeof firstMissing)[number]): string =>
    `${hex(start)}-${hex(end)} at line ${line}, ${cause}`;
  return [
    `  ${program} ${pid}: ${agreementText(process)}`,
    ...Object.entries(byCause).map(([cause, agreement]) => `    ${cause}: ${agreementText(agreement)}`),
    ...firstMissing.map((one) => `    in the trace only: ${range(one)}`),
    ...firstExtra.map((one) => `    in the model only: ${range(one)}`),
  ];
}

function deviceLines({ name, delivered, filtered, livelocks, costs }: DeviceReport): string[] {
  const { syncs, hits, misses, evictions, refills, faults } = costs;
  return [
    "",
    `${name}: ${delivered} calls delivered, ${total(filtered)} events filtered`,
    `  commands: ${counts(costs.commands)}; syncs ${syncs}`,
    `  hits ${hits}, misses ${misses}, evictions ${evictions}, refills ${refills}, faults ${faults}${livelocks === 0 ? "" : `, accesses that never end ${livelocks}`}`,
  ];
}

/** The first of them: a driver that throws does it again and again. */
function errorLines(errors: readonly string[]): string[] {
  if (errors.length === 0) return [];
  return ["", `${errors.length} errors in drivers, the first:`, `  ${errors[0]}`];
}

function upgradeLines({ kernel, withEvent, events, others, devices }: UpgradeReport): string[] {
  return [
    "",
    `${withEvent} against ${kernel}: ${events} upgrade events beside ${others} other notifications`,
    ...devices.map(upgradeLine),
  ];
}

function upgradeLine({
  name,
  livelocksWithout,
  livelocks,
  decision,
  delivered,
  filtered,
  commands,
  syncs,
  refills,
}: UpgradeCost): string {
  const signed = (count: number): string => (count < 0 ? String(count) : `+${count}`);
  return (
    `  ${name}: ${filtered} filtered, ${signed(delivered)} calls delivered, ${signed(commands)} commands, ` +
    `${signed(syncs)} syncs, ${signed(refills)} refills, accesses that never end ${livelocksWithout} -> ${livelocks} (${decision.protectionUpgrade}: ${decision.because})`
  );
}

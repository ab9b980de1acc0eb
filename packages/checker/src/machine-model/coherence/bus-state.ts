import type { Machine } from "@mmu-notifier/machine";
import type { Report } from "../../engine/model.js";
import { RULES } from "./rules.js";

/** What the notifier core's own words must be like in every state. */
export function busReports({ kernel }: Machine, quiet: boolean, reports: Report[]): void {
  const { bus, mms } = kernel;
  for (let mm = 1; mm < mms.segment.used; mm++) {
    const intervals = mms.isLive(mm) ? bus.intervalState(mm) : undefined;
    if (intervals === undefined) continue;
    const { active, deferred, evenIntervals, seq } = intervals;
    const about = `interval notifiers of mm${mm}`;
    if (evenIntervals > 0)
      reports.push({
        verdict: "CONTRACT",
        about,
        what: `the sequence of an interval of mm${mm} is even`,
        rule: RULES.V1,
      });
    if (seq % 2 === 1 && active === 0)
      reports.push({
        verdict: "IMBALANCE",
        about,
        what: `mm${mm}'s sequence ${seq} is odd and nothing is under way`,
        rule: RULES.V2,
      });
    if (seq % 2 === 0 && deferred > 0)
      reports.push({
        verdict: "CONTRACT",
        about,
        what: `mm${mm}'s sequence is even and ${deferred} intervals still wait`,
        rule: RULES.V3,
      });
    if (quiet && active !== 0)
      reports.push({
        verdict: "IMBALANCE",
        about,
        what: `${active} invalidations of mm${mm} are counted, and nobody is in a call`,
        rule: RULES.I1,
      });
  }
}

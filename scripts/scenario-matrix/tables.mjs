/** The shipped drivers, and the kernels in the order of their age. */
export const DRIVERS = ["arm-smmu", "iommu-btm", "kvm"];
export const KERNELS = [
  "v5.10",
  "v6.1",
  "v6.4",
  "v6.4+upgrade-event",
  "v6.4+upgrade-event-fixed",
  "v6.12",
  "v6.18",
  "v7.3",
];

/** The word of the table for a result of `mmun check --json`; with the verdict that the rules ask for, where that is another. */
function cellOf({ skipped, verdict, expected, perhaps = false }) {
  if (skipped !== undefined) return "–";
  return verdict === expected || (perhaps && verdict === "passes") ? verdict : `${verdict}, not ${expected}`;
}

/** One driver's table of `{ kernel, result }`: a row for each scenario that does not come through everywhere, and a list of those that do. */
export function tableOf(results, kernels = KERNELS) {
  const ids = [...new Set(results.map(({ result }) => result.scenario))];
  const rows = ids.map((id) => [
    id,
    kernels.map((on) => cellOf(results.find(({ kernel, result }) => result.scenario === id && kernel === on).result)),
  ]);
  const named = (wanted) => rows.filter(([, cells]) => wanted(cells)).map(([id]) => id);
  const all = (word) => (cells) => cells.every((cell) => cell === word);
  const rest = rows.filter(([, cells]) => !all("passes")(cells) && !all("–")(cells));
  return [
    `| scenario | ${kernels.join(" | ")} |`,
    `|---|${kernels.map(() => "---|").join("")}`,
    ...rest.map(([id, cells]) => `| ${id} | ${cells.join(" | ")} |`),
    "",
    `Come through on every kernel: ${named(all("passes")).join(", ")}.`,
    ...(named(all("–")).length === 0 ? [] : ["", `Say nothing about it: ${named(all("–")).join(", ")}.`]),
  ].join("\n");
}

import type { EventRecord, Happening, OpRecord } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import type { ScriptRun } from "../run-scripts.js";
import { deviceLines } from "./device-lines.js";
import { table } from "./table.js";

type Of<K extends Happening["kind"]> = Extract<Happening, { kind: K }>;

/** `[a,b)` in pages, `page a`, or everything. */
function span(start: number | string, end: number | string): string {
  if (end === "max") return start === "0" ? "everything" : `[${start},…)`;
  return `[${start},${end})`;
}

function of(who: string | undefined): string {
  return who === undefined ? "" : ` of ${who}`;
}

/** Faults, one line for a run of pages with the same kind. */
function faultLines(happened: readonly Happening[]): string[] {
  const lines: { readonly what: string; readonly first: number; last: number }[] = [];
  for (const one of happened) {
    if (one.kind !== "fault") continue;
    const access = one.exec ? "fetch" : one.write ? "write" : "read";
    const why = one.present ? ", forbidden" : "";
    const what = `${one.user ? "" : "kernel "}${access}${why}${of(one.who)}`;
    const before = lines.at(-1);
    if (before !== undefined && before.what === what && before.last + 1 === one.page) before.last = one.page;
    else lines.push({ what, first: one.page, last: one.page });
  }
  return lines.map(({ what, first, last }) => {
    const pages = first === last ? `${first}` : `${first}-${last}`;
    const [access = "", ...rest] = what.split(/(?=,| of )/);
    return `${access} ${pages}${rest.join("")}`;
  });
}

/** Calls on the bus; a start that is ended at once is one line. */
function notificationLines(happened: readonly Happening[]): string[] {
  const calls = happened.filter((one): one is Of<"notify"> => one.kind === "notify");
  const lines: string[] = [];
  let depth = 0;
  for (let i = 0; i < calls.length; i++) {
    const one = calls[i]!;
    const range = `${(one.event ?? "").replace("MMU_NOTIFY_", "")} ${span(one.start, one.end)}${of(one.mm)}`.trim();
    const indent = "  ".repeat(depth);
    if (one.call === "invalidate_range_start") {
      const next = calls[i + 1];
      if (next?.call === "invalidate_range_end" && next.start === one.start && next.end === one.end) {
        lines.push(`${indent}start, end ${range}`);
        i++;
      } else {
        lines.push(`${indent}start ${range}`);
        depth++;
      }
    } else if (one.call === "invalidate_range_end") {
      depth = Math.max(0, depth - 1);
      lines.push(`${"  ".repeat(depth)}end ${range}`);
    } else lines.push(`${indent}${one.call} ${span(one.start, one.end)}${of(one.mm)}`);
  }
  return lines;
}

function flushLines(happened: readonly Happening[]): string[] {
  return happened.flatMap((one) => {
    if (one.kind !== "flush") return [];
    const reach = one.scope === "local" ? ", this CPU" : "";
    return [`${one.pages < 0 ? "everything" : span(one.start, one.end)}${of(one.mm)}${reach}`];
  });
}

/** What an op came to, in words. */
function resultText(record: OpRecord, broken: ScriptRun["broken"], { colors }: Context): string {
  if (broken !== undefined) return colors.red(broken.verdict);
  const { err, sig, sigs, val, ret, livelock, at } = record;
  if (livelock !== undefined) return colors.red("LIVELOCK");
  if (err !== undefined) return colors.red(at === undefined ? err : `${err} at ${at}`);
  if (sig !== undefined) return colors.red(`SIG${sig} at ${at}`);
  if (sigs !== undefined) {
    const [first] = sigs;
    return colors.red(`SIG${first![1]} at ${first![0]}${sigs.length > 1 ? ` and ${sigs.length - 1} more` : ""}`);
  }
  if (val !== undefined) return `= ${val}`;
  if (ret === undefined || ret === 0) return "ok";
  return typeof ret === "number" && !/^(map|remap|mremap)/.test(record.op) ? `${ret}` : `at ${ret}`;
}

function pageLines({ vma, pg }: OpRecord): string[] {
  return [
    ...vma.map(([start, end, rights, offset, backing, flags]) =>
      `vma ${span(start, end)} ${rights} ${backing}${offset === 0 ? "" : `+${offset}`} ${flags}`.trimEnd(),
    ),
    ...pg.map(
      ([first, pages, flags, id, mapcount]) =>
        `pg ${span(first, first + pages)} ${flags}${id === 0 ? "" : ` #${id}`}${mapcount < 0 ? "" : ` mapped ${mapcount}`}`,
    ),
  ];
}

function count(records: readonly OpRecord[], kind: EventRecord[0]): number {
  return records.reduce((sum, { ev }) => sum + ev.filter(([is]) => is === kind).length, 0);
}

function plural(n: number, one: string): string {
  return `${n} ${one}${n === 1 ? "" : "s"}`;
}

/** A script's run as a table, one row an op, and what it comes to. */
export function renderScript(run: ScriptRun, context: Context, pages: boolean): string {
  const { colors } = context;
  const { script, kernel, arch, records, devices, breaches, broken, errors, violations } = run;
  const rows = records.map((record, at) => {
    const happened = record.happened ?? [];
    const columns = [
      faultLines(happened),
      notificationLines(happened),
      flushLines(happened),
      deviceLines(happened, colors),
    ];
    return [
      colors.dim(String(record.i)),
      [colors.cyan(record.op), ...(pages ? pageLines(record).map((line) => colors.dim(line)) : [])].join("\n"),
      ...columns.map((lines) => lines.join("\n")),
      resultText(record, at === records.length - 1 ? broken : undefined, context),
    ];
  });
  const head = ["#", "op", "faults", "notifications", "CPU TLB flushes", "devices", "result"];
  // A column that nobody writes into only takes room.
  const used = head.map((_, column) => column < 2 || rows.some((row) => row[column] !== ""));
  const keep = <T>(cells: readonly T[]): T[] => cells.filter((_, column) => used[column]);
  const title = `${colors.bold(script.name)}  ${kernel} on ${arch}`;
  return [
    title,
    table(
      rows.map(keep),
      keep(head).map((text) => colors.dim(text)),
    ),
    ...verdicts(run, context),
    ...devices.map(({ name, driver, origin, upgrade, costs }) => {
      const commands = Object.values(costs.commands).reduce((sum, n) => sum + n, 0);
      const spent = [
        plural(commands, "command"),
        plural(costs.syncs, "sync"),
        plural(costs.faults, "fault"),
        plural(costs.walks, "walk"),
        plural(costs.hits, "hit"),
      ];
      return `  ${colors.cyan(name)} ${driver} ${colors.dim(`(${origin})`)} ${upgrade}s upgrades: ${spent.join(", ")}`;
    }),
    ...[...violations, ...breaches].map((finding) => `  ${colors.yellow(finding)}`),
    ...errors.map((error) => `  ${colors.red(error)}`),
    colors.dim(
      `  ${plural(records.length, "op")}, ${plural(count(records, "F") + count(records, "FK"), "fault")}, ${plural(count(records, "N"), "range notification")}, ${plural(count(records, "T"), "CPU TLB flush").replace("flushs", "flushes")}`,
    ),
  ].join("\n");
}

/** A line for each device access that can never succeed, and for the op that broke a rule of the kernel. */
function verdicts({ script, records, broken }: ScriptRun, { colors }: Context): string[] {
  const livelocks = records.flatMap(({ livelock, op, i }) => {
    if (livelock === undefined) return [];
    const { faults, commands, attempts } = livelock;
    return [
      `  ${colors.red(colors.bold("LIVELOCK"))} op ${i}, ${op}: after ${plural(attempts, "attempt")} with ${plural(faults, "fault")} and ${plural(commands, "command")} the whole machine is where it was before. It never ends.`,
    ];
  });
  if (broken === undefined) return livelocks;
  const { op, i } = records.at(-1)!;
  const left = script.statements.length - records.length;
  const rest = left === 0 ? "" : `. ${plural(left, "op")} after it ${left === 1 ? "was" : "were"} not run`;
  return [...livelocks, `  ${colors.red(colors.bold(broken.verdict))} op ${i}, ${op}: ${broken.message}${rest}.`];
}

import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import * as core from "@mmu-notifier/core";
import { parseScripts, ScriptSession, ARENA_PAGE, ARENA_BASE } from "@mmu-notifier/script";
import { test } from "vitest";

const file = process.env.C4_FILE!;
const pat = new RegExp(process.env.C4_PAT ?? ".");
const caseRe = new RegExp(process.env.C4_CASE ?? ".");
const show = Number(process.env.C4_SHOW ?? "10");
const PG = 4096;
function* extra(env: any, op: any): any {
  const { k, t, state } = env;
  const at = (p: number) => ARENA_BASE + p * PG;
  const done = (r: number) => (r < 0 ? { err: core.errnoName(r) } : { ret: r });
  switch (op.kind) {
    case "uffd": {
      const f = core.UFFD_FEATURE_SIGBUS | (op.mode === "async" ? core.UFFD_FEATURE_WP_ASYNC : op.mode === "unpop" ? core.UFFD_FEATURE_WP_UNPOPULATED : 0);
      const r = yield* core.sysUserfaultfd(k, t, f); if (r > 0) state.setUffd(r); return r < 0 ? done(r) : { ret: 0 };
    }
    case "uffdreg": {
      if (state.uffd === 0) { const r = yield* core.sysUserfaultfd(k, t, core.UFFD_FEATURE_SIGBUS); state.setUffd(r); }
      return done(yield* core.uffdRegister(k, t, state.uffd, at(op.start), op.pages * PG, op));
    }
    case "uffdunreg": return done(yield* core.uffdUnregister(k, t, state.uffd, at(op.start), op.pages * PG));
    case "uffdwp": return done(yield* core.uffdWriteprotect(k, t, at(op.start), op.pages * PG, op.on));
    case "uffdzero": return done(yield* core.uffdZeropage(k, t, at(op.start), op.pages * PG));
    case "uffdcopy": return done(yield* core.uffdCopy(k, t, at(op.page), env.value, op.wp));
    case "uffdmove": return done(yield* core.uffdMove(k, t, at(op.destination), at(op.start), op.pages * PG));
    case "pscan": return done(yield* core.pagemapScan(k, t, at(op.start), op.pages * PG));
    case "clearrefs": { const r = yield* core.clearRefs(k, t, op.what); return r < 0 ? done(r) : { ret: 1 }; }
    case "mbind": return done(yield* core.sysMbind(k, t, at(op.start), op.pages * PG, op.policy === "bind" ? op.node : -1));
    case "movepages": { const st: number[] = []; const r = yield* core.sysMovePages(k, t, Array.from({ length: op.pages ?? 1 }, (_, i) => at(op.start + i)), op.node, st); return done(r); }
    case "ksmrun": return (yield* core.ksmRun(k, t), { ret: 0 });
    case "ksm": return done(op.what === "merge" ? yield* core.ksmRun(k, t) : yield* core.ksmUnmergeAll(k, t));
    case "mrelease": return done(yield* core.sysProcessMrelease(k, { cpu: 0, mm: state.child(op.child) }));
    case "exclusive": { const r = yield* core.makeDeviceExclusive(k, t, ARENA_PAGE + op.page, 7); return r < 0 ? done(r) : { ret: 0 }; }
    case "migratevma": return done(yield* core.migrateVma(k, t, ARENA_PAGE + op.start, ARENA_PAGE + op.start + op.pages, 7));
    case "swapoff": return done(yield* core.sysSwapoff(k, t));
    case "swapon": return done(yield* core.sysSwapon(k, t));
    case "sync": return done(yield* core.sysSync(k, t));
    case "drop": return done(yield* core.dropCaches(k, t));
    case "khuge": return (yield* core.khugepagedScan(k, t), { ret: 0 });
    default: return undefined;
  }
}
const FN: Record<string, string> = { invalidate_range_start: "S", invalidate_range_end: "E", invalidate_range: "X", arch_invalidate_secondary_tlbs: "X", change_pte: "C", clear_flush_young: "Y" };
const name = file.split("/").pop()!;
const qemu = file.includes("qemu");
const m = /^(arm64hafdbs|arm64|x86)-([\d.]+)/.exec(name);
test("replay", async () => {
  const lines = gunzipSync(readFileSync(file)).toString().split("\n").filter(Boolean).map((l) => JSON.parse(l));
  const cases: { name: string; arena: number; recs: any[] }[] = [];
  for (const r of lines) {
    if (qemu) { if (r.step === 1 || cases.at(-1)?.name !== r.case) cases.push({ name: r.case, arena: 2048, recs: [] }); cases.at(-1)!.recs.push(r); }
    else if (r.script !== undefined) cases.push({ name: r.script, arena: r.arena, recs: [] });
    else if (r.op !== undefined) cases.at(-1)!.recs.push(r);
  }
  const kernel = qemu ? `v${m![2]}` : "v6.18";
  const arch = qemu ? (m![1] === "x86" ? "x86-64" : m![1] === "arm64" ? "arm64" : "arm64-hafdbs") : "x86-64";
  const per = new Map<string, [number, number]>();
  let shown = 0;
  for (const c of cases) {
    if (!caseRe.test(c.name)) continue;
    const text = `== ${c.name} arena ${c.arena}\n` + c.recs.map((r) => r.line ?? r.op).join("\n") + "\n";
    let session: any; let script: any;
    try {
      [script] = parseScripts(text) as any;
      session = new ScriptSession(script, { kernel, arch, snapshots: false, config: { thp: "madvise", hugetlbPages: 64, nodes: qemu ? 2 : 1, softDirty: qemu && arch === "x86-64" } } as any);
    } catch (e) { console.log(c.name, "setup", (e as Error).message.slice(0, 200)); continue; }
    const k = session.machine.kernel;
    let log: string[] = [];
    const rel = (v: number) => v / PG - ARENA_PAGE;
    k.bus.calls.subscribe(({ call, mm, start, end, event, onlyEnd }: any) => {
      const fn = FN[call]; if (!fn) return; if (!qemu && (fn !== "S" || mm !== session.mm)) return;
      const r = start === 0 && end >= 2 ** 63 ? "all" : call === "change_pte" ? `${rel(start)}-${rel(start) + 1}` : `${rel(start)}-${rel(end)}`;
      log.push(`${fn} ${r}${event && qemu ? " " + event.replace("MMU_NOTIFY_", "") : ""}${onlyEnd ? " only" : ""}`);
    });
    const prev: string[] = [];
    for (const [i, st] of script.statements.entries()) {
      const rec = c.recs[i];
      const text = rec.line ?? rec.op;
      log = [];
      let out: any; let err = "";
      try {
        if (["mbind","movepages","clearrefs","uffd","uffdreg","uffdunreg","uffdwp","uffdzero","uffdcopy","uffdmove","pscan","ksmrun","ksm","mrelease","exclusive","migratevma","swapoff","swapon","sync","drop","khuge"].includes(st.op.kind))
          out = session.machine.run(extra(session.environment(st), st.op), text);
        else out = session.machine.run(session.path(st), text);
      } catch (e) { err = (e as Error).message; }
      let want: string[];
      if (qemu) want = rec.notifier.filter((n: any) => FN[n.fn]).map((n: any) => `${FN[n.fn]} ${n.whole ? "all" : n.fn === "change_pte" ? `${n.start}-${n.start + 1}` : `${n.start}-${n.end}`}${n.event ? " " + n.event.replace("MMU_NOTIFY_", "") : ""}${n.fn === "invalidate_range_end" && n.onlyEnd ? " only" : ""}`);
      else want = rec.ev.filter((e: any) => e[0] === "N" && !(typeof e[3] === "string" && e[3].startsWith("c"))).map((e: any) => (e[1] === "0" ? "S all" : `S ${e[1]}-${e[2]}`));
      const gotErr = out?.err ?? ""; const wantErr = (qemu ? rec.errno : rec.err) ?? "";
      const same = err === "" && log.join("|") === want.join("|") && (qemu ? true : gotErr === wantErr);
      const kind = text.split(" ")[0] + (/^(madvise|advise)/.test(text) ? " " + text.split(" ")[3] : "");
      const cell = per.get(kind) ?? [0, 0]; cell[1]++; if (same) cell[0]++; per.set(kind, cell);
      if (!same && pat.test(kind) && shown < show) {
        shown++;
        console.log(`--- ${c.name} #${i} ${text} got ${JSON.stringify(out)} want ${rec.ret ?? ""} ${wantErr} ${err.slice(0, 300)}\n < ${prev.slice(-9).join(" ; ")}\n GOT  ${log.slice(0, 14).join(" | ")} (${log.length})\n WANT ${want.slice(0, 14).join(" | ")} (${want.length})`);
      }
      prev.push(text);
      if (err !== "") break;
    }
  }
  console.log(kernel, arch, [...per].sort().map(([n, [a, b]]) => `${n}:${a}/${b}`).join("  "));
}, 600000);

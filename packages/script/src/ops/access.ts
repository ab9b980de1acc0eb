import type { Line } from "../line.js";
import type { Op } from "./op.js";
import { ACCESSES_MAX, advice, type OpSpec, pageOrSpan, prot, type Scope, span, spec } from "./spec.js";

function access(write: boolean, ofChild: boolean): OpSpec["parse"] {
  return (line: Line, scope: Scope): Op => {
    const child = ofChild ? scope.child(line) : -1;
    const { start, pages, ranged } = pageOrSpan(line);
    const value = write && line.left > 0 ? line.integer("a byte to store") : undefined;
    return { kind: "access", write, mode: ranged ? "until" : "one", child, start, pages, value };
  };
}

function each(write: boolean): OpSpec["parse"] {
  return (line) => {
    const start = line.integer("a first page");
    const pages = line.integer("a number of pages", 0, ACCESSES_MAX);
    return { kind: "access", write, mode: "each", child: -1, start, pages, value: undefined };
  };
}

function kernelAccess(kind: "kread" | "kwrite" | "pmread" | "pmwrite" | "pvread" | "pvwrite"): OpSpec["parse"] {
  return (line) => ({ kind, page: line.integer("a page") });
}

function forkOp(line: Line, scope: Scope): Op {
  const name = line.left > 0 ? line.name("a name for the child") : undefined;
  return { kind: "fork", child: scope.fork(name), name };
}

function childOp(kind: "cexec" | "reap" | "mrelease" | "ckvm"): OpSpec["parse"] {
  return (line, scope) => ({ kind, child: scope.child(line) });
}

/** Loads and stores, by the CPU in user mode and by the kernel on the process's behalf, and what children do. */
export const ACCESS_OPS: readonly OpSpec[] = [
  spec("read P [N]", "one load; with N, a load from each page until one takes a signal", access(false, false)),
  spec("write P [N [BYTE]]", "one store; with N, a store to each page until one takes a signal", access(true, false)),
  spec("readr S L", "a load from each page, signals or not", each(false)),
  spec("writer S L", "a store to each page, signals or not", each(true)),
  spec("kread P", "write(2) to a pipe from the page: copy_from_user", kernelAccess("kread")),
  spec("kwrite P", "read(2) from a pipe into the page: copy_to_user", kernelAccess("kwrite")),
  spec("pmread P", "read /proc/self/mem: GUP with FOLL_FORCE", kernelAccess("pmread")),
  spec("pmwrite P", "write /proc/self/mem: GUP with FOLL_FORCE|FOLL_WRITE", kernelAccess("pmwrite")),
  spec("memwrite P", "the same as pmwrite", kernelAccess("pmwrite")),
  spec("pvread P", "process_vm_readv: GUP", kernelAccess("pvread")),
  spec("vmread P", "the same as pvread", kernelAccess("pvread")),
  spec("pvwrite P", "process_vm_writev: GUP with FOLL_WRITE", kernelAccess("pvwrite")),
  spec("vmwrite P", "the same as pvwrite", kernelAccess("pvwrite")),
  spec("fork [NAME]", "fork; children are numbered from 0 and idle", forkOp),
  spec("cread C P [N]", "a load by child C", access(false, true)),
  spec("cwrite C P [N]", "a store by child C", access(true, true)),
  spec("cunmap C S L", "munmap by child C", (line, scope) => ({
    kind: "unmap",
    child: scope.child(line),
    ...span(line),
  })),
  spec("cdontneed C S L", "madvise(MADV_DONTNEED) by child C", (line, scope) => ({
    kind: "advise",
    child: scope.child(line),
    ...span(line),
    advice: 4,
  })),
  spec("cprotect C S L [PROT]", "mprotect by child C, to read-only unless PROT says otherwise", (line, scope) => ({
    kind: "protect",
    child: scope.child(line),
    ...span(line),
    prot: line.left > 0 ? prot(line) : 1,
  })),
  spec("cadvise C S L ADVICE", "madvise by child C", (line, scope) => ({
    kind: "advise",
    child: scope.child(line),
    ...span(line),
    advice: advice(line),
  })),
  spec("cexec C", "child C executes another program", childOp("cexec")),
  spec("reap C", "kill child C and wait for it", childOp("reap")),
  spec("mrelease C", "process_mrelease of child C, after killing it", childOp("mrelease")),
  spec("ckvm C", "child C gets notifiers of its own", childOp("ckvm")),
  spec("exit", "the process exits", () => ({ kind: "exit" })),
];

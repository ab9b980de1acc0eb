import type { Line } from "../line.js";
import type { Op } from "./op.js";
import { type OpSpec, span, spec } from "./spec.js";

const UFFD_MODES = new Set(["missing", "miss", "wp", "minor", "bogus"]);

function uffdRegister(line: Line): Op {
  const where = span(line);
  const text = line.peek();
  if (text === undefined || !text.split(",").every((mode) => UFFD_MODES.has(mode))) {
    throw line.expected("modes joined with commas (missing, wp, minor)");
  }
  const modes = new Set(line.word("modes").split(","));
  const at = line.left > 0 ? line.integer("a page") : undefined;
  return {
    kind: "uffdreg",
    ...where,
    missing: modes.has("missing") || modes.has("miss"),
    wp: modes.has("wp"),
    minor: modes.has("minor"),
    at,
  };
}

function plain(
  kind: "unpin" | "closevm" | "openvm" | "ksmrun" | "swapoff" | "swapon" | "sync" | "drop",
): OpSpec["parse"] {
  return () => ({ kind });
}

/** userfaultfd, pins, notifier subscriptions, daemons and knobs. */
export const SYSTEM_OPS: readonly OpSpec[] = [
  spec(
    "uffd sync|async|unpop",
    "userfaultfd: a hit is SIGBUS, write protection resolves itself, or also protects holes",
    (line) => ({
      kind: "uffd",
      mode: line.oneOf("a mode", ["sync", "async", "unpop"]),
    }),
  ),
  spec("uffdreg S L MODES [AT]", "UFFDIO_REGISTER with missing, wp, minor", uffdRegister),
  spec("uffdunreg S L", "UFFDIO_UNREGISTER", (line) => ({ kind: "uffdunreg", ...span(line) })),
  spec("uffdwp S L on|off", "UFFDIO_WRITEPROTECT", (line) => {
    const where = span(line);
    const how = line.oneOf("on or off", ["on", "off", "1", "0"]);
    return { kind: "uffdwp", ...where, on: how === "on" || how === "1" };
  }),
  spec("uffdzero S L", "UFFDIO_ZEROPAGE", (line) => ({ kind: "uffdzero", ...span(line) })),
  spec("uffdcopy P [wp]", "UFFDIO_COPY of one page", (line) => ({
    kind: "uffdcopy",
    page: line.integer("a page"),
    wp: line.take("wp"),
  })),
  spec("uffdmove D S L", "UFFDIO_MOVE", (line) => ({
    kind: "uffdmove",
    destination: line.integer("a destination page"),
    ...span(line),
  })),
  spec("pscan S L", "PAGEMAP_SCAN that write-protects what was written", (line) => ({ kind: "pscan", ...span(line) })),
  spec("pin S L", "a long-term write pin, as a registered I/O buffer", (line) => ({ kind: "pin", ...span(line) })),
  spec("unpin", "drop the pin", plain("unpin")),
  spec("closevm", "the process's own notifier goes away", plain("closevm")),
  spec("kvmclose", "the same as closevm", plain("closevm")),
  spec("kvmopen", "a notifier is registered again", plain("openvm")),
  spec("migratevma S L", "migrate_vma_setup to device memory and back", (line) => ({
    kind: "migratevma",
    ...span(line),
  })),
  spec("exclusive P", "make_device_exclusive", (line) => ({ kind: "exclusive", page: line.integer("a page") })),
  spec("ksmrun", "ksmd scans until it has seen everything", plain("ksmrun")),
  spec("ksm merge|unmerge", "ksmd merges, or breaks, what is mergeable", (line) => ({
    kind: "ksm",
    what: line.oneOf("merge or unmerge", ["merge", "unmerge"]),
  })),
  spec("khuge MS", "khugepaged runs for a while", (line) => ({
    kind: "khuge",
    milliseconds: line.integer("milliseconds"),
  })),
  spec("wait MS", "time passes", (line) => ({ kind: "wait", milliseconds: line.integer("milliseconds") })),
  spec("spin MS S L r|w", "accesses in a loop, for NUMA balancing", (line) => ({
    kind: "spin",
    milliseconds: line.integer("milliseconds"),
    ...span(line),
    write: line.oneOf("r or w", ["r", "w"]) === "w",
  })),
  spec("swapoff", "swap is turned off", plain("swapoff")),
  spec("swapon", "swap is turned on", plain("swapon")),
  spec("sync", "sync(2)", plain("sync")),
  spec("drop", "drop_caches", plain("drop")),
  spec("sysfs PATH VALUE", "writes a knob", (line) => ({
    kind: "sysfs",
    path: line.word("a path"),
    value: line.word("a value"),
  })),
];

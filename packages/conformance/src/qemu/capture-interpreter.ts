import { downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import {
  getUserPages,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  sysMmap,
  userAccess,
} from "@mmu-notifier/core";
import { ARENA_PAGE, type OpRecord, type ScriptSession, type Statement } from "@mmu-notifier/script";

/** Where the recorded program had its text, below the arena. */
const TEXT_PAGE = { x86: 0x401, other: 0x400 } as const;

/** wait status of a child that a signal stopped. */
const STOPPED = { ret: -11 } as const;

/**
 * Runs operations as the program of the captures ran them, where that differs from the language's own meaning:
 * - the process and its children have memory of their own beside the arena;
 * - `pin` was vmsplice(2), which takes references and no pins;
 * - a child that took a signal answers no more.
 */
export class CaptureInterpreter {
  readonly #session: ScriptSession;
  readonly #stopped = new Set<number>();
  readonly #spliced: number[] = [];

  constructor(session: ScriptSession) {
    this.#session = session;
    session.machine.run(programText(session), "exec");
  }

  run(statement: Statement): OpRecord {
    const { op } = statement;
    const { machine } = this.#session;
    if (op.kind === "pin") {
      machine.run(splice(this.#session, op.start, op.pages, this.#spliced), "vmsplice");
      return record(statement, { ret: 0 });
    }
    if (op.kind === "unpin") {
      machine.run(release(this.#session, this.#spliced), "pipe_release");
      return record(statement, { ret: 0 });
    }
    const child = "child" in op && op.kind !== "fork" && op.kind !== "reap" ? op.child : -1;
    if (this.#stopped.has(child)) return record(statement, STOPPED);
    const done = this.#session.run(statement);
    if (op.kind === "fork" && done.ret === 0) this.#executeText(op.child);
    if (child >= 0 && done.sig !== undefined) this.#stopped.add(child);
    return done;
  }

  /** A child reads its commands, with the text that its parent has. */
  #executeText(child: number): void {
    const { machine, state, process } = this.#session;
    const t = { cpu: process.thread.cpu, mm: state.child(child) };
    machine.run(userAccess(machine.kernel, t, textPage(this.#session), "read"), "child");
  }
}

function record({ index, text }: Statement, result: Pick<OpRecord, "ret" | "err">): OpRecord {
  return { i: index, op: text, ...result, ev: [], vma: [], pg: [], happened: [] };
}

/** A process has memory of its own beside the arena, which never changes: a page of text that was executed. */
function* programText(session: ScriptSession): Path {
  const { machine, process } = session;
  const { kernel } = machine;
  const page = textPage(session);
  yield* sysMmap(kernel, process.thread, {
    address: page * PAGE_SIZE,
    length: PAGE_SIZE,
    prot: PROT_READ,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    file: 0,
    offset: 0,
  });
  yield* userAccess(kernel, process.thread, page, "read");
}

function textPage({ machine }: ScriptSession): number {
  return machine.kernel.arch.arm64 ? TEXT_PAGE.other : TEXT_PAGE.x86;
}

/** vmsplice(2): the pages' references lie in a pipe until it is closed. */
function* splice({ machine, process }: ScriptSession, start: number, pages: number, held: number[]): Path {
  const { kernel } = machine;
  const { cpu, mm } = process.thread;
  const lock = kernel.mms.mmapLock(mm);
  yield downRead(lock);
  for (let page = start; page < start + pages; page++) {
    const pfn = yield* getUserPages(kernel, cpu, mm, ARENA_PAGE + page, { get: true });
    if (pfn > 0) held.push(pfn);
  }
  yield upRead(lock);
}

function* release({ machine }: ScriptSession, held: number[]): Path {
  for (const pfn of held.splice(0)) {
    yield step("put_page", () => {
      machine.kernel.pages.put(pfn);
      return 0;
    });
  }
}

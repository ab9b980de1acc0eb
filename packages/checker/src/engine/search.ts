import type { MmuNotifierError } from "@mmu-notifier/steps";
import { withinTime } from "./within-time.js";
import type { Node } from "./automaton.js";
import { deadlockAt, type Found, lockCycleFrom } from "./deadlock.js";
import { ampleTask, conflictOf } from "./ample.js";
import { HiddenStateError, ModelError } from "./errors.js";
import type { Symmetry } from "./symmetry.js";
import type { ExploreOptions, Finding } from "./exploration.js";
import type { Graph } from "./graph.js";
import type { Invariant, ProgressRule, Report } from "./model.js";
import { checkChoices, type Move, move } from "./move.js";
import type { StateStore } from "./state-store.js";
import { Trail } from "./trail.js";
import { reportOf } from "./verdict.js";
import type { Walker } from "./walker.js";

/** A finding before its way was worked out: the state it was seen in, and the move that failed there, if one did. */
export interface Sighting extends Omit<Finding, "schedule" | "severity"> {
  readonly state: number;
  readonly failing?: Move;
}

const ENDLESS = "stopped at a step that does not end";
/** Steps' times within which all paths of a task are run again. */
const AUDIT_TIMES = 10;

const REPORT_EVERY = 1 << 16;
/** States expanded under one timer. */
const GUARDED_SLICE = 256;
/** Besides the first step from each local state, every so many transitions one is run twice. */
const AUDIT_MASK = (1 << 12) - 1;

/** Breadth-first search over every interleaving, each state once. */
export class Search {
  readonly trail = new Trail();
  readonly sightings: Sighting[] = [];
  transitions = 0;
  depth = 0;
  /** Why the search was cut off; undefined when it is complete. */
  cutOff: string | undefined;
  readonly #walker: Walker;
  readonly #store: StateStore;
  readonly #invariants: readonly Invariant[];
  readonly #reports: (() => readonly Report[]) | undefined;
  readonly #options: ExploreOptions;
  readonly #graph: Graph | undefined;
  readonly #progress: ProgressRule | undefined;
  readonly #audit: boolean;
  readonly #symmetry: Symmetry | undefined;
  readonly #partialOrder: boolean;
  /** Pairs of local states that were tried in both orders. */
  readonly #compared = new Set<string>();
  /** Cycles of waits without a lock, by the situation in which everybody is stuck. */
  readonly #circles = new Map<string, Found | undefined>();
  /** The state that is expanded, and the task whose step runs. */
  #current = 0;
  #running = 0;
  readonly #seen = new Set<string>();
  #levelEnd = 1;

  constructor(walker: Walker, options: ExploreOptions, graph?: Graph, symmetry?: Symmetry) {
    this.#walker = walker;
    this.#store = walker.store;
    this.#options = options;
    this.#graph = graph;
    this.#invariants = walker.model.invariants ?? [];
    this.#reports = walker.model.reports;
    this.#progress = walker.model.progress;
    this.#audit = options.audit ?? true;
    this.#symmetry = symmetry;
    this.#partialOrder = options.partialOrder ?? false;
  }

  run(): void {
    const { stepTimeout } = this.#options;
    this.trail.set(0, -1, 0);
    if (!withinTime(() => this.#begin(), stepTimeout))
      this.#sightEndless("what comes before the first step", stepTimeout!);
    else if (stepTimeout === undefined) this.#expandUpTo(Infinity);
    else this.#expandGuarded(stepTimeout);
  }

  #begin(): void {
    this.#walker.begin();
    if (this.#symmetry?.canonicalise() === true) throw this.#asymmetricStart();
    this.#checkInvariants(0);
  }

  /** Expands in slices, each within the time of one step; a slice that was too slow is gone through one state at a time. */
  #expandGuarded(milliseconds: number): void {
    let slice = GUARDED_SLICE;
    while (this.cutOff === undefined && this.#current < this.#store.count) {
      const first = this.#current;
      if (withinTime(() => this.#expandUpTo(first + slice), milliseconds)) continue;
      this.#graph?.rewind(this.#current);
      this.#store.spoil();
      if (slice > 1) slice = 1;
      else {
        this.#sightTimeout(milliseconds);
        return;
      }
    }
  }

  #expandUpTo(end: number): void {
    const store = this.#store;
    const { maxStates = 50_000_000, maxDepth = Infinity, stopAtFirst = false, onProgress } = this.#options;
    for (let current = this.#current; current < store.count && current < end; current++) {
      this.#current = current;
      if (current === this.#levelEnd) {
        this.depth++;
        this.#levelEnd = store.count;
      }
      if (store.count > maxStates) this.cutOff = `cut off at ${maxStates} states`;
      else if (this.depth >= maxDepth) this.cutOff = `cut off at ${maxDepth} steps`;
      else if (stopAtFirst && this.sightings.length > 0) this.cutOff = "stopped at the first finding";
      if (this.cutOff !== undefined) return;
      if (onProgress !== undefined && current % REPORT_EVERY === 0) onProgress(store.count, this.transitions);
      this.#expand(current);
      this.#current = current + 1;
    }
  }

  #expand(current: number): void {
    const walker = this.#walker;
    const store = this.#store;
    const { automata } = walker;
    this.#graph?.open();
    store.load(current);
    if (this.#partialOrder) {
      if (this.#expandAmple(current)) return;
      store.load(current);
    }
    let moved = false;
    let waiting = false;
    let clean = true;
    for (let t = 0; t < automata.length; t++) {
      if (!clean) {
        store.reload();
        clean = true;
      }
      const automaton = automata[t]!;
      const node = automaton.nodes[store.node(t)]!;
      if (node.step === undefined) {
        if (node.fault !== undefined) this.#sightError(node.fault, current);
        continue;
      }
      if (node.choices > 0) {
        checkChoices(node.choices, automaton.task.name, node.step.label);
        for (let choice = 0; choice < node.choices; choice++) {
          store.setNode(t, automaton.advance(node, choice));
          this.#commit(current, t, choice, node, choice);
          store.reload();
        }
        moved = true;
        continue;
      }
      if (node.ready !== undefined && !node.ready(t)) {
        waiting = true;
        if (node.step.effect?.kind === "acquire") this.#sightLockCycle(t, current);
        continue;
      }
      moved = true;
      clean = false;
      let result: number;
      this.#running = t;
      try {
        result = node.run(t);
        store.setNode(t, automaton.advance(node, result));
      } catch (error) {
        store.spoil();
        this.#sightError(walker.attribute(error, node, t), current, move(t, 0));
        continue;
      }
      const id = this.#commit(current, t, 0, node, result);
      if (this.#audit && (!node.audited || (this.transitions & AUDIT_MASK) === 0)) this.#runAgain(current, t, node, id);
    }
    if (!moved && waiting) this.#sightDeadlock(current);
  }

  /**
   * Takes only the moves of one task whose next step no other task can tell from its neighbours: a free choice, or what the model
   * declares local. Refused when it leads to nothing new, or others could be put off for ever.
   */
  #expandAmple(current: number): boolean {
    const walker = this.#walker;
    const store = this.#store;
    const t = ampleTask(walker);
    if (t === undefined) return false;
    const automaton = walker.automata[t]!;
    const node = walker.nodeOf(t);
    const before = store.count;
    const transitions = this.transitions;
    for (let choice = 0; choice < Math.max(1, node.choices); choice++) {
      if (node.choices === 0) {
        const wrong = conflictOf(walker, t, current, this.#compared);
        store.load(current);
        if (wrong !== undefined) {
          this.#sightError(wrong, current);
          return false;
        }
      }
      let result = choice;
      if (node.choices === 0) {
        try {
          result = node.run(t);
        } catch {
          // The full expansion runs it again, and reports it.
          store.spoil();
          return false;
        }
      }
      store.setNode(t, automaton.advance(node, result));
      this.#commit(current, t, choice, node, result);
      store.reload();
    }
    if (store.count > before) return true;
    this.transitions = transitions;
    return false;
  }

  #commit(parent: number, task: number, choice: number, node: Node, result: number): number {
    const store = this.#store;
    this.#symmetry?.canonicalise();
    const before = store.count;
    const id = store.commit();
    this.transitions++;
    if (this.#graph !== undefined) {
      this.#graph.add(
        id,
        move(task, choice),
        this.#progress?.(this.#walker.model.tasks[task]!.name, node.step!.label, result) ?? false,
      );
    }
    if (id < before) return id;
    this.trail.set(id, parent, move(task, choice));
    this.#checkInvariants(id);
    return id;
  }

  /** Runs a step a second time from the same state: it has to lead to the same state. */
  #runAgain(current: number, task: number, node: Node, id: number): void {
    const store = this.#store;
    node.audited = true;
    store.reload();
    const before = store.count;
    let again = -1;
    try {
      store.setNode(task, this.#walker.automata[task]!.advance(node, node.run(task)));
      this.#symmetry?.canonicalise();
      again = store.commit();
    } catch {
      store.spoil();
    }
    if (again === id) return;
    if (again >= before) this.trail.set(again, current, move(task, 0));
    const { name } = this.#walker.model.tasks[task]!;
    const error = new HiddenStateError(
      "CHECKER_HIDDEN_STATE",
      `step "${node.step!.label}" of task ${name}${within(node)}, run twice from the same state, did two different things. It keeps state outside the memory, or reads a clock`,
      { task: name, step: node.step!.label },
    );
    this.#sightError(error, current, move(task, 0));
  }

  /** Runs every path once more over its results; what it finds has no interleaving of its own. */
  auditPaths(): void {
    if (this.cutOff === ENDLESS) return;
    const { stepTimeout } = this.#options;
    const limit = stepTimeout === undefined ? undefined : stepTimeout * AUDIT_TIMES;
    for (const automaton of this.#walker.automata) {
      let error: MmuNotifierError | undefined;
      if (!withinTime(() => (error = automaton.audit()), limit))
        this.#sightEndless(`a path of ${automaton.task.name} that is run again`, limit!);
      else if (error !== undefined) this.#sightError(error, 0);
    }
  }

  /** Something outside every step does not end. */
  #sightEndless(what: string, milliseconds: number): void {
    const error = new ModelError(
      "CHECKER_STEP_TIMEOUT",
      `${what} did not end within ${milliseconds} ms. It loops for ever`,
      { model: this.#walker.model.name, task: this.#walker.model.name },
    );
    this.#sightError(error, 0);
    this.cutOff = ENDLESS;
  }

  #sightTimeout(milliseconds: number): void {
    const { task } = this.#walker.automata[this.#running]!;
    this.#store.load(this.#current);
    const node = this.#walker.nodeOf(this.#running);
    const error = new ModelError(
      "CHECKER_STEP_TIMEOUT",
      `task ${task.name}${within(node)}: step "${node.step?.label ?? "?"}", or what its path does up to the next step, did not end within ${milliseconds} ms. It loops for ever`,
      { task: task.name, step: node.step?.label },
    );
    this.#sightError(error, this.#current, move(this.#running, 0));
    this.cutOff = ENDLESS;
  }

  #asymmetricStart(): ModelError {
    const { name } = this.#walker.model;
    return new ModelError(
      "CHECKER_SYMMETRY_START",
      `model ${name}: its renamings change the initial state. What is renamed has to start alike`,
      { model: name },
    );
  }

  #sightError(error: MmuNotifierError, state: number, failing?: Move): void {
    this.#sight({
      ...reportOf(error),
      state,
      ...(failing === undefined ? {} : { failing }),
    });
  }

  #sightLockCycle(task: number, state: number): void {
    const found = lockCycleFrom(this.#walker, task);
    if (found !== undefined) this.#sight({ verdict: "DEADLOCK", ...found, state });
  }

  #sightDeadlock(state: number): void {
    const found = deadlockAt(this.#walker, state, this.#circles);
    if (found !== undefined) this.#sight({ ...found, state });
  }

  /** Keeps the first, and so the shortest, way to each finding. */
  #sight(sighting: Sighting): void {
    const key = `${sighting.verdict} ${sighting.what}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.sightings.push(sighting);
  }

  #checkInvariants(state: number): void {
    for (const { holds, name, verdict = "CONTRACT" } of this.#invariants) {
      if (!holds()) this.#sight({ verdict, about: name, what: `"${name}" does not hold`, state });
    }
    if (this.#reports !== undefined) for (const report of this.#reports()) this.#sight({ ...report, state });
  }
}

/** The function that a step is in, for messages. */
function within({ functions }: Node): string {
  const fn = functions.at(-1);
  return fn === undefined ? "" : `, in ${fn}`;
}

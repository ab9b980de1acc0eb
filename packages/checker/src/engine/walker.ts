import { LockOrder, type MmuNotifierError, MmuNotifierError as BaseError } from "@mmu-notifier/steps";
import { Automaton, type Node } from "./automaton.js";
import { ModelError } from "./errors.js";
import type { Model } from "./model.js";
import { choiceOf, MOST_TASKS, type Move, move, taskOf } from "./move.js";
import type { StateStore } from "./state-store.js";
import { createStore } from "./stores.js";

/** A step that was taken. */
export interface Taken {
  readonly node: Node;
  readonly result: number;
}

/** A model that can be walked step by step: its automata, and the store its states go to. */
export class Walker {
  readonly model: Model;
  readonly automata: readonly Automaton[];
  readonly store: StateStore;

  constructor(model: Model) {
    if (model.tasks.length >= MOST_TASKS) {
      throw new ModelError(
        "CHECKER_TOO_MANY_TASKS",
        `model ${model.name} has ${model.tasks.length} tasks; at most ${MOST_TASKS - 1} are possible`,
        {
          model: model.name,
        },
      );
    }
    this.model = model;
    const order = new LockOrder();
    this.automata = model.tasks.map((task) => new Automaton(task, order));
    this.store = createStore(model.state, model.tasks.length);
  }

  /** Takes the initial state into work and stores it as state 0. */
  begin(): void {
    this.automata.forEach((automaton, t) => this.store.setNode(t, automaton.begin()));
    this.store.commit();
    this.store.load(0);
  }

  nodeOf(task: number): Node {
    return this.automata[task]!.nodes[this.store.node(task)]!;
  }

  /** The moves that are possible in the state in work. */
  moves(): Move[] {
    const moves: Move[] = [];
    for (let t = 0; t < this.automata.length; t++) {
      const node = this.nodeOf(t);
      if (node.step === undefined) continue;
      if (node.choices > 0) for (let c = 0; c < node.choices; c++) moves.push(move(t, c));
      else if (node.ready === undefined || node.ready(t)) moves.push(move(t, 0));
    }
    return moves;
  }

  /**
   * Makes a move from the state in work.
   *
   * @throws what the step throws, as a MmuNotifierError.
   */
  take(m: Move): Taken {
    const t = taskOf(m);
    const node = this.nodeOf(t);
    const result = node.choices > 0 ? choiceOf(m) : this.run(node, t);
    this.store.setNode(t, this.automata[t]!.advance(node, result));
    return { node, result };
  }

  /** Runs a node's step; whatever it throws names the task and the step. */
  run(node: Node, task: number): number {
    try {
      return node.run(task);
    } catch (error) {
      throw this.attribute(error, node, task);
    }
  }

  /** What a step of `node` threw, as an error that says who and where. */
  attribute(error: unknown, node: Node, task: number): MmuNotifierError {
    if (error instanceof BaseError) return error;
    const name = this.model.tasks[task]!.name;
    const where = [...node.functions, node.step!.label].join(" -> ");
    return new ModelError(
      "CHECKER_STEP_THREW",
      `task ${name} threw in ${where}: ${String(error)}`,
      { task: name, step: node.step!.label },
      { cause: error },
    );
  }
}

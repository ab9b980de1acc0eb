import { isMarker, type LockOrder, MmuNotifierError, type Path, type Step, TaskContext } from "@mmu-notifier/steps";

/**
 * One task of an interleaving that a test schedules by hand: it moves only when told to, and only as far.
 *
 * @public
 */
export class Actor<R = unknown> {
  readonly name: string;
  readonly #id: number;
  readonly #path: Path<R>;
  readonly #context: TaskContext;
  #next: Step | undefined;
  #value: R | undefined;

  /** @param id task number; locks record it, so it must be unique among the actors of a test */
  constructor(name: string, id: number, lockOrder: LockOrder, path: Path<R>) {
    this.name = name;
    this.#id = id;
    this.#path = path;
    this.#context = new TaskContext(name, lockOrder);
    this.#fetch(0);
  }

  /** Label of the step that comes next, or undefined at the end. */
  get at(): string | undefined {
    return this.#next?.label;
  }

  get done(): boolean {
    return this.#next === undefined;
  }

  /** The next step has to wait for somebody else. */
  get blocked(): boolean {
    return this.#next?.ready !== undefined && !this.#next.ready(this.#id);
  }

  /**
   * Takes one step.
   *
   * @throws MmuNotifierError ACTOR_BLOCKED, ACTOR_DONE
   */
  step(): void {
    const next = this.#next;
    if (next === undefined)
      throw new MmuNotifierError("ACTOR_DONE", `${this.name} has ended and is told to take a step`);
    if (this.blocked)
      throw new MmuNotifierError(
        "ACTOR_BLOCKED",
        `${this.name} waits for ${next.label} and is told to take it. Let somebody else move first`,
      );
    const result = next.run(this.#id);
    this.#context.after(next, result);
    this.#fetch(result);
  }

  /** Takes steps until the next one's label contains `label`, which is not taken. */
  until(label: string): this {
    while (this.at?.includes(label) !== true) this.step();
    return this;
  }

  /** Takes all steps that are left and returns the path's result. */
  finish(): R {
    while (this.#next !== undefined) this.step();
    return this.#value as R;
  }

  #fetch(result: number): void {
    let value = result;
    for (;;) {
      const { done, value: out } = this.#path.next(value);
      if (done === true) {
        this.#context.finish();
        this.#next = undefined;
        this.#value = out;
        return;
      }
      this.#context.before(out);
      if (!isMarker(out)) {
        this.#next = out;
        return;
      }
      value = out.run(this.#id);
      this.#context.after(out, value);
    }
  }
}

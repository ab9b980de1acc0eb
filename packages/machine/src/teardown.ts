import { MachineError, messageOf } from "./errors.js";

/**
 * What has to be undone, in reverse order. tsyringe disposes only instances that it built from classes, so everything that a
 * factory makes registers here.
 */
export class Teardown {
  readonly #what: string;
  #actions: { readonly name: string; readonly undo: () => void }[] = [];
  #closed = false;

  constructor(what: string) {
    this.#what = what;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Names of what is left to undo, oldest first. */
  get names(): readonly string[] {
    return this.#actions.map(({ name }) => name);
  }

  /** Adds an action; the returned function takes it back. */
  add(name: string, undo: () => void): () => void {
    this.check();
    const action = { name, undo };
    this.#actions.push(action);
    return () => {
      this.#actions = this.#actions.filter((other) => other !== action);
    };
  }

  /** @throws MachineError MACHINE_CLOSED after {@link close} */
  check(): void {
    if (this.#closed)
      throw new MachineError("MACHINE_CLOSED", `${this.#what} was closed. Create a new one`, { what: this.#what });
  }

  /**
   * Undoes everything, last first; an action that throws does not keep the others from running.
   *
   * @throws MachineError MACHINE_TEARDOWN with all messages, after the last action
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const failures: { readonly name: string; readonly cause: unknown }[] = [];
    for (const { name, undo } of this.#actions.reverse()) {
      try {
        undo();
      } catch (cause) {
        failures.push({ name, cause });
      }
    }
    this.#actions = [];
    const [first] = failures;
    if (first === undefined) return;
    throw new MachineError(
      "MACHINE_TEARDOWN",
      `closing ${this.#what}: ${failures.map(({ name, cause }) => `${name}: ${messageOf(cause)}`).join("; ")}. The rest was closed`,
      { what: this.#what, failed: failures.map(({ name }) => name) },
      { cause: first.cause },
    );
  }
}

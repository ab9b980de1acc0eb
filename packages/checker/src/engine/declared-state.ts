import { maskOf } from "./bit-layout.js";
import { ModelError } from "./errors.js";
import type { PackedRows } from "./packed-rows.js";

/** Most bits a declared field can have; values are never negative. */
const WIDEST = 31;

/**
 * A declared field, or an array of them: unsigned integers of `bits` bits.
 *
 * @public
 */
export class Field {
  readonly name: string;
  readonly bits: number;
  /** Elements; 1 for a single field. */
  readonly length: number;
  /** Slots of the elements in the packed row; kept up to date by the {@link DeclaredState}. */
  readonly slots: Int32Array;
  readonly #mask: number;
  readonly #state: DeclaredState;

  constructor(state: DeclaredState, name: string, bits: number, length: number) {
    this.#state = state;
    this.name = name;
    this.bits = bits;
    this.length = length;
    this.slots = new Int32Array(length);
    this.#mask = maskOf(bits);
  }

  get(index = 0): number {
    const slot = this.slots[index]!;
    return (this.#state.row[slot >> 5]! >>> slot) & this.#mask;
  }

  /**
   * Writes element `index`.
   *
   * @throws ModelError CHECKER_FIELD_OVERFLOW when `value` does not fit, CHECKER_FIELD_INDEX when there is no such element.
   */
  set(index: number, value: number): void {
    const mask = this.#mask;
    const slot = this.slots[index];
    if ((value & ~mask) !== 0 || slot === undefined) this.#refuse(index, value);
    else {
      const { row } = this.#state;
      const word = slot >> 5;
      row[word] = (row[word]! & ~(mask << slot)) | (value << slot);
    }
  }

  #refuse(index: number, value: number): never {
    if (index < 0 || index >= this.length) {
      throw new ModelError(
        "CHECKER_FIELD_INDEX",
        `field ${this.name} has ${this.length} elements; there is no ${index}`,
        {
          field: this.name,
          index,
        },
      );
    }
    throw new ModelError(
      "CHECKER_FIELD_OVERFLOW",
      `field ${this.name} has ${this.bits} bits and can not hold ${value}. Declare it wider, or bound what is counted`,
      { field: this.name, bits: this.bits, value },
    );
  }
}

/**
 * Shared state of a model that declares its fields with their widths, so that a state packs into a few words.
 *
 * @public
 */
export class DeclaredState {
  readonly fields: Field[] = [];
  /** The packed state in work. */
  row: Int32Array = new Int32Array(0);
  readonly #initial: number[] = [];
  #store: PackedRows | undefined;

  /**
   * Declares `length` fields of `bits` bits (1 to 31) each.
   *
   * @throws ModelError CHECKER_FIELD_WIDTH, CHECKER_STATE_IN_USE
   */
  field(name: string, bits: number, length = 1, initial = 0): Field {
    if (bits < 1 || bits > WIDEST) {
      throw new ModelError("CHECKER_FIELD_WIDTH", `field ${name}: a field has 1 to ${WIDEST} bits, not ${bits}`, {
        name,
        bits,
      });
    }
    if (this.#store !== undefined) {
      throw new ModelError(
        "CHECKER_STATE_IN_USE",
        `field ${name} is declared after a search began. Declare all fields first`,
        { name },
      );
    }
    const field = new Field(this, name, bits, length);
    this.fields.push(field);
    for (let i = 0; i < length; i++) this.#initial.push(initial);
    return field;
  }

  /** Widths of all elements of all fields, in order of declaration. */
  get widths(): number[] {
    return this.fields.flatMap((field) => Array.from({ length: field.length }, () => field.bits));
  }

  /** Makes `store` the place the fields live in and puts the declared initial values there. */
  bind(store: PackedRows): void {
    this.#store = store;
    this.row = store.row;
    this.rebind();
    this.#initial.forEach((value, at) => store.set(at, value));
  }

  /** Takes over the slots after the store moved them. */
  rebind(): void {
    let at = 0;
    for (const field of this.fields) {
      for (let i = 0; i < field.length; i++) field.slots[i] = this.#store!.slots[at++]!;
    }
  }
}

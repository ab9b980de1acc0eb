/** One field of one operation in which the model and the record differ. */
export interface FieldDiff {
  readonly field: string;
  readonly expected: unknown;
  readonly got: unknown;
}

/** How often each field was compared, and how often it was equal. */
export class FieldCounts {
  readonly #counts = new Map<string, { compared: number; equal: number }>();

  /** Counts one comparison and returns `equal`. */
  count(field: string, equal: boolean): boolean {
    let counts = this.#counts.get(field);
    if (counts === undefined) {
      counts = { compared: 0, equal: 0 };
      this.#counts.set(field, counts);
    }
    counts.compared++;
    if (equal) counts.equal++;
    return equal;
  }

  /** Adds what another comparison has counted. */
  add(other: FieldCounts): void {
    for (const [field, { compared, equal }] of other.#counts) {
      const own = this.#counts.get(field);
      if (own === undefined) this.#counts.set(field, { compared, equal });
      else {
        own.compared += compared;
        own.equal += equal;
      }
    }
  }

  /** Counts by field, in the order in which the fields were first compared. */
  get fields(): Readonly<Record<string, { readonly compared: number; readonly equal: number }>> {
    return Object.fromEntries(this.#counts);
  }
}

/** True when two JSON values are the same; a missing key and undefined are the same. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!sameJson(a[i], b[i])) return false;
    return true;
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key in left) if (!sameJson(left[key], right[key])) return false;
  for (const key in right) if (!(key in left) && right[key] !== undefined) return false;
  return true;
}

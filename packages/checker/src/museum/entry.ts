import type { ExploreOptions } from "../engine/exploration.js";
import type { SceneModel } from "../scene/scene.js";
import type { Verdict } from "../engine/verdict.js";

/** The code with the bug, or with the fix; everything else of a scenario stays the same. */
export type Variant = "buggy" | "fixed";

/** A verdict that the buggy variant must get. */
export interface ExpectedVerdict {
  readonly verdict: Verdict;
  readonly object: string;
  /** Steps of the shortest counterexample, its cycle included. */
  readonly steps: number;
}

/**
 * A bug of the museum: what happened, and a scenario that is put to the checker with the bug and without it.
 *
 * @public
 */
export interface MuseumEntry {
  /** What the museum calls it, for instance `smmu-nobtm-upgrade-livelock`. */
  readonly id: string;
  /** Number in the catalogue, for instance `A1`. */
  readonly number: string;
  readonly year: string;
  readonly title: string;
  /** Commit, CVE or message that tells of it; "derived" when nobody has reported it. */
  readonly source: string;
  /** Kind of mistake. */
  readonly class: string;
  /** Which side of the bus has the bug: that part is exchanged between the variants. */
  readonly swaps: "driver" | "kernel";
  /** What happened, in a few sentences. */
  readonly story: string;
  /** How the scenario models it: which parts are the real ones, what the variants do. */
  readonly scenario: string;
  /** First the verdict of the catalogue, then what else it leads to. */
  readonly expect: readonly ExpectedVerdict[];
  /** How it is searched; `liveness` for bugs that never end. */
  readonly explore?: ExploreOptions;
  /** The scenario, made anew. */
  model(variant: Variant): SceneModel;
}

/**
 * A situation that looks like a bug and is none: the checker must not say otherwise.
 *
 * @public
 */
export interface MuseumControl {
  readonly id: string;
  /** Why it looks like a bug, and why it is none. */
  readonly about: string;
  /** Warnings that it may get, and must get: COST, LOST-YOUNG. @defaultValue none */
  readonly warns?: readonly Verdict[];
  readonly explore?: ExploreOptions;
  /** The scenario, in each of its forms, made anew. */
  readonly models: readonly (() => SceneModel)[];
}

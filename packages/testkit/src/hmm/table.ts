import type { HmmScene } from "./scene.js";

/** One test of tools/testing/selftests/mm/hmm-tests.c: what it does, and what it asserts. */
export interface HmmTest {
  /** Number in the project's list of them. */
  readonly id: string;
  /** The name in hmm-tests.c, with the variant in brackets. */
  readonly name: string;
  /** Huge pages are on. @defaultValue false */
  readonly thp?: boolean;
  /** Kernels whose own hmm-tests.c has it, as [major, minor]; undefined is no bound. */
  readonly since?: readonly [number, number];
  readonly before?: readonly [number, number];
  readonly run: (scene: HmmScene) => void;
}

/** A test of hmm-tests.c that says nothing about this model. */
export interface HmmLeftOut {
  readonly id: string;
  readonly name: string;
  readonly reason: string;
}

/** Pages of the default buffer: 4 MiB. */
export const N = 1024;

/** What fill() stores in a page, in one byte; never 0. */
export const k = (page: number): number => 1 + (page % 199);
/** The other pattern: -k in the original. */
export const notK = (page: number): number => 255 - (page % 50);

/** `value` of pages 0 to `pages` - 1. */
export function valuesOf(pages: number, value: (page: number) => number, first = 0): number[] {
  return Array.from({ length: pages }, (_, i) => value(first + i));
}

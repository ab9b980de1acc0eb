import { type Memory, type Segment, Vectors } from "@mmu-notifier/steps";

const UFFD = 1;
const NOTIFIER = 2;
const FIXED_WORDS = 4;
const CHILD_WORDS = 2;

/**
 * What the script's process knows beside its address space: its descriptors, its children, its pins. It lives in the machine's
 * memory, so that a checker that goes back in time takes it along.
 */
export class ScriptState {
  readonly #segment: Segment;
  readonly #at: number;
  readonly #names: readonly string[];
  readonly #children: number;
  /** A userfaultfd is only there when the script opens one. */
  readonly opensUffd: boolean;
  readonly #pins: Vectors;
  readonly #pinned: number;

  /** @param names of the files that the script speaks of */
  constructor(memory: Memory, names: readonly string[], children: number, opensUffd: boolean) {
    this.#names = names;
    this.#children = children;
    this.opensUffd = opensUffd;
    const words = FIXED_WORDS + this.#children * CHILD_WORDS + this.#names.length;
    const stride = words + (words % 2);
    this.#segment = memory.segment("script", stride, 1);
    this.#at = this.#segment.alloc() * stride;
    this.#pins = new Vectors(memory, "script pins", 8);
    this.#pinned = this.#pins.create();
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** The userfaultfd context, or 0. */
  get uffd(): number {
    return this.#get(UFFD);
  }

  setUffd(uffd: number): void {
    this.#set(UFFD, uffd);
  }

  /** The process's own notifier: its subscription, or 0. */
  get notifier(): number {
    return this.#get(NOTIFIER);
  }

  setNotifier(subscription: number): void {
    this.#set(NOTIFIER, subscription);
  }

  /** The mm of a child that lives, or 0. */
  child(index: number): number {
    return index < this.#children ? this.#get(this.#childWord(index)) : 0;
  }

  setChild(index: number, mm: number): void {
    this.#set(this.#childWord(index), mm);
  }

  /** The subscription of a child's own notifier, or 0. */
  childNotifier(index: number): number {
    return index < this.#children ? this.#get(this.#childWord(index) + 1) : 0;
  }

  setChildNotifier(index: number, subscription: number): void {
    this.#set(this.#childWord(index) + 1, subscription);
  }

  /** The number of the child whose mm this is, or -1. */
  childOf(mm: number): number {
    for (let i = 0; i < this.#children; i++) if (this.child(i) === mm) return i;
    return -1;
  }

  /** Row of an open file, or 0 when it was not made. */
  file(name: string): number {
    const index = this.#names.indexOf(name);
    return index < 0 ? 0 : this.#get(this.#fileWord(index));
  }

  setFile(name: string, file: number): void {
    this.#set(this.#fileWord(this.#names.indexOf(name)), file);
  }

  /** Frames of the long-term pin. */
  get pins(): readonly number[] {
    return Array.from({ length: this.#pins.length(this.#pinned) }, (_, i) => this.#pins.at(this.#pinned, i));
  }

  addPin(pfn: number): void {
    this.#pins.insert(this.#pinned, this.#pins.length(this.#pinned), pfn);
  }

  clearPins(): void {
    this.#pins.truncate(this.#pinned, 0);
  }

  #childWord(index: number): number {
    return FIXED_WORDS + index * CHILD_WORDS;
  }

  #fileWord(index: number): number {
    return FIXED_WORDS + this.#children * CHILD_WORDS + index;
  }

  #get(word: number): number {
    return this.#segment.i32[this.#at + word]!;
  }

  #set(word: number, value: number): void {
    this.#segment.i32[this.#at + word] = value;
  }
}

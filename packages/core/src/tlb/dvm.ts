/** Hardware that listens to the CPUs' broadcast TLB maintenance (an SMMU with BTM). Called inside the step that issues it. */
export interface DvmParticipant {
  /**
   * A TLBI reached the participant: it must drop its entries before the next {@link sync}.
   *
   * @param asid the CPU's address-space id
   * @param start first page, @param end page after the last; the whole address space is [0, Infinity)
   * @param lastLevelOnly walk caches need not be dropped
   */
  tlbi(asid: number, start: number, end: number, lastLevelOnly: boolean): void;
  /** DSB waits here: false while accesses that used dropped entries are still under way. */
  drained(): boolean;
}

/** Distributed virtual memory messages: who takes part. */
export class Dvm {
  readonly #participants: DvmParticipant[] = [];

  join(participant: DvmParticipant): () => void {
    this.#participants.push(participant);
    return () => this.#participants.splice(this.#participants.indexOf(participant), 1);
  }

  tlbi(asid: number, start: number, end: number, lastLevelOnly: boolean): void {
    for (const participant of this.#participants) participant.tlbi(asid, start, end, lastLevelOnly);
  }

  get drained(): boolean {
    return this.#participants.every((participant) => participant.drained());
  }
}

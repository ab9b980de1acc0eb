import type { Dvm, DvmParticipant } from "@mmu-notifier/core";

/** The interconnect's broadcast of TLB maintenance, as a device sees it. */
export interface DvmLink {
  /** CR2.PTM = 0: from now on the participant hears every inner-shareable TLBI. At set-up; the function returned leaves again. */
  join(participant: DvmParticipant): () => void;
}

/** The link of one machine. */
export function dvmLink(dvm: Dvm): DvmLink {
  return { join: (participant) => dvm.join(participant) };
}

/** Commands of an SMMUv3, by the specification's mnemonics, with their opcodes. */
export const OPCODES = {
  CMD_PREFETCH_CONFIG: 0x01,
  CMD_CFGI_STE: 0x03,
  CMD_CFGI_STE_RANGE: 0x04,
  CMD_CFGI_CD: 0x05,
  CMD_CFGI_CD_ALL: 0x06,
  CMD_TLBI_NH_ALL: 0x10,
  CMD_TLBI_NH_ASID: 0x11,
  CMD_TLBI_NH_VA: 0x12,
  CMD_TLBI_NH_VAA: 0x13,
  CMD_TLBI_EL2_ALL: 0x20,
  CMD_TLBI_EL2_ASID: 0x21,
  CMD_TLBI_EL2_VA: 0x22,
  CMD_TLBI_S12_VMALL: 0x28,
  CMD_TLBI_S2_IPA: 0x2a,
  CMD_TLBI_NSNH_ALL: 0x30,
  CMD_ATC_INV: 0x40,
  CMD_PRI_RESP: 0x41,
  CMD_RESUME: 0x44,
  CMD_SYNC: 0x46,
} as const;

/** Name of a command. */
export type Mnemonic = keyof typeof OPCODES;

const NAMES = new Map<number, Mnemonic>(Object.entries(OPCODES).map(([name, opcode]) => [opcode, name as Mnemonic]));

/** The mnemonic of an opcode. */
export function mnemonicOf(opcode: number): Mnemonic {
  return NAMES.get(opcode)!;
}

/** One command, unpacked. */
export interface Command {
  readonly opcode: number;
  /** ASID, stream id or stall tag, as the command wants. */
  readonly id: number;
  /** First page. */
  readonly start: number;
  /** Pages; Infinity is everything. */
  readonly pages: number;
  /** Substream, response code, completion row or leaf flag, as the command wants. */
  readonly arg: number;
}

/** CMD_TLBI_NH_ASID. */
export const tlbiNhAsid = (asid: number): Command => ({
  opcode: OPCODES.CMD_TLBI_NH_ASID,
  id: asid,
  start: 0,
  pages: Infinity,
  arg: 0,
});
/** CMD_TLBI_NH_VA for `pages` pages from `start`: one page without RIL, any encodable number with it. `leaf` spares walk caches. */
export const tlbiNhVa = (asid: number, start: number, pages = 1, leaf = false): Command => ({
  opcode: OPCODES.CMD_TLBI_NH_VA,
  id: asid,
  start,
  pages,
  arg: leaf ? 1 : 0,
});
/** CMD_TLBI_S2_IPA: stage 2 of a guest, `pages` guest-physical pages from `start`. Leaves what was combined with stage 1 alone. */
export const tlbiS2Ipa = (vmid: number, start: number, pages = 1): Command => ({
  opcode: OPCODES.CMD_TLBI_S2_IPA,
  id: vmid,
  start,
  pages,
  arg: 0,
});
/** CMD_TLBI_NH_ALL: everything of stage 1 of a guest, and what was combined with it. */
export const tlbiNhAll = (vmid: number): Command => ({
  opcode: OPCODES.CMD_TLBI_NH_ALL,
  id: vmid,
  start: 0,
  pages: Infinity,
  arg: 0,
});
/** CMD_TLBI_NSNH_ALL. */
export const tlbiNsnhAll = (): Command => ({
  opcode: OPCODES.CMD_TLBI_NSNH_ALL,
  id: 0,
  start: 0,
  pages: Infinity,
  arg: 0,
});
/** CMD_ATC_INV: pages [start, start + pages) of one stream and substream; Infinity pages from 0 is size 52, everything. */
export const atcInv = (sid: number, ssid: number, start: number, pages: number): Command => ({
  opcode: OPCODES.CMD_ATC_INV,
  id: sid,
  start,
  pages,
  arg: ssid,
});
/** CMD_CFGI_STE: the stream table entry of one stream changed. */
export const cfgiSte = (sid: number): Command => ({
  opcode: OPCODES.CMD_CFGI_STE,
  id: sid,
  start: 0,
  pages: 0,
  arg: 0,
});
/** CMD_CFGI_CD: the context descriptor of one stream and substream changed. */
export const cfgiCd = (sid: number, ssid: number): Command => ({
  opcode: OPCODES.CMD_CFGI_CD,
  id: sid,
  start: 0,
  pages: 0,
  arg: ssid,
});
/** CMD_RESUME with RETRY or ABORT. */
export const resume = (stag: number, response: number): Command => ({
  opcode: OPCODES.CMD_RESUME,
  id: stag,
  start: 0,
  pages: 0,
  arg: response,
});
/** CMD_PRI_RESP. */
export const priResp = (sid: number, group: number, response: number): Command => ({
  opcode: OPCODES.CMD_PRI_RESP,
  id: sid,
  start: group,
  pages: 0,
  arg: response,
});

/** Response of CMD_RESUME. */
export const RESUME_TERM = 0;
export const RESUME_RETRY = 1;
export const RESUME_ABORT = 2;

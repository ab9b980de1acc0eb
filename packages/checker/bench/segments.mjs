// Transitions per CPU second on a memory of about 600 words in 20 segments. usage: node packages/checker/bench/segments.mjs
import { Memory, step } from "@mmu-notifier/steps";
import { explore } from "../dist/index.js";

const state = new Memory();
const segments = Array.from({ length: 20 }, (_, s) => {
  const segment = state.segment(`segment ${s}`, 6, 4);
  for (let row = 0; row < 4; row++) segment.alloc();
  return segment;
});
const rounds = 9;
const tasks = Array.from({ length: 6 }, (_, t) => ({
  name: `task${t}`,
  locals: [0],
  *start(round) {
    if (round === rounds) return null;
    yield step("write", () => {
      segments[t * 3].i32[8] = round + 1;
      return 0;
    });
    return [round + 1];
  },
}));
const before = process.cpuUsage();
const { states, transitions, bytesPerState } = explore({ name: "segments", state, tasks }, { maxStates: 400_000 });
const { user, system } = process.cpuUsage(before);
const seconds = (user + system) / 1e6;
console.log(
  `${state.words} words: states=${states} transitions=${transitions} cpu=${seconds.toFixed(2)}s ` +
    `${Math.round(transitions / seconds / 1000)} k transitions/s (target 200), ${bytesPerState.toFixed(0)} B/state`,
);

// Property tests draw the same cases in every run, so that a run that passed passes again.
// FC_SEED=7 npm test draws others; FC_SEED=random draws new ones each time and fast-check prints the seed of a failure.
import fc from "fast-check";

const wanted = process.env.FC_SEED ?? "20230521";
if (wanted !== "random") fc.configureGlobal({ seed: Number(wanted) });

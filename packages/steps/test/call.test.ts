import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { call, inline, type Path, Scheduler, step } from "../src/index.js";

const plain = (label: string) => step(label, () => 5);

function* body(catches: boolean, cleansUp: boolean): Path<number> {
  try {
    const got = yield plain("first");
    yield plain("second");
    return got;
  } catch (error) {
    if (!catches) throw error;
    yield plain("caught");
    return 7;
  } finally {
    if (cleansUp) yield plain("cleanup");
  }
}

/** What a called path says, written down as the generator that it stands for. */
function* spelledOut(fn: string | undefined, path: Path<number>): Path<number> {
  if (fn !== undefined) yield plain(fn);
  const result = yield* path;
  if (fn !== undefined) yield plain("leave");
  return result;
}

type Action = { readonly kind: "next" | "throw" | "return"; readonly value: number };

function outcomeOf(path: Path<number>, { kind, value }: Action): unknown {
  try {
    const did =
      kind === "next" ? path.next(value) : kind === "return" ? path.return(value) : path.throw(new Error(`${value}`));
    return did.done === true ? { result: did.value } : { step: did.value.label };
  } catch (error) {
    return { threw: String(error) };
  }
}

const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom("next", "next", "next", "throw", "return"),
  value: fc.nat(9),
});

describe("a called path", () => {
  it("does what the generator that it stands for does, whoever resumes it", () => {
    const how = fc.record({ named: fc.boolean(), catches: fc.boolean(), cleansUp: fc.boolean() });
    fc.assert(
      fc.property(how, fc.array(action, { maxLength: 9 }), ({ named, catches, cleansUp }, actions) => {
        const fn = named ? "do_wp_page" : undefined;
        const called = named ? call("do_wp_page", body(catches, cleansUp)) : inline(body(catches, cleansUp));
        const reference = spelledOut(fn, body(catches, cleansUp));
        for (const one of actions) expect(outcomeOf(called, one)).toEqual(outcomeOf(reference, one));
      }),
    );
  });

  it("is a part of a straight run, which takes the same steps and has the same result", () => {
    const scheduler = new Scheduler();
    const taken: string[] = [];
    scheduler.observe((_, { label }) => taken.push(label));
    expect(scheduler.run(inline(body(false, true)))).toBe(5);
    expect(taken).toEqual(["first", "second", "cleanup"]);
    scheduler.observe(undefined);
    expect(scheduler.run(inline(body(false, true)))).toBe(5);
  });
});

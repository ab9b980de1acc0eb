import { ModelError } from "../engine/errors.js";
import type { Schedule } from "../engine/exploration.js";
import type { Model } from "../engine/model.js";
import { choiceOf, type Move, move, taskOf } from "../engine/move.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TOKEN = /([\w-])(?:\.(\d+))?(?:\*(\d+))?/gy;

/**
 * Writes a schedule as a short line that {@link replay} takes: a mark of the model, then a letter for each move, `.n` for its
 * choice and `*n` for repetitions; what repeats for ever is in parentheses: `3f0a:AAB.1(CD)`.
 *
 * @public
 */
export function scheduleToString(model: Model, { stem, cycle }: Schedule): string {
  return `${markOf(model)}:${encode(stem)}${cycle.length === 0 ? "" : `(${encode(cycle)})`}`;
}

/**
 * Reads what {@link scheduleToString} wrote.
 *
 * @throws ModelError CHECKER_REPLAY when it is no schedule, or one of another model.
 */
export function scheduleFromString(model: Model, text: string): Schedule {
  const match = /^([\da-f]{4}):([^()]*)(?:\(([^()]+)\))?$/.exec(text.trim());
  if (match === null) throw broken(model, `"${text}" is no schedule`);
  const [, mark, stem, cycle] = match;
  if (mark !== markOf(model))
    throw broken(model, `"${text}" belongs to a model with other tasks (mark ${mark}, here it is ${markOf(model)})`);
  return { stem: decode(model, stem!), cycle: decode(model, cycle ?? "") };
}

/** A replay that does not fit its model. */
export function broken(model: Model, what: string): ModelError {
  return new ModelError("CHECKER_REPLAY", `replay of ${model.name}: ${what}`, { model: model.name });
}

/** Four hexadecimal digits that change with the tasks' names (FNV-1a). */
function markOf({ tasks }: Model): string {
  let hash = 0x811c9dc5;
  for (const character of tasks.map(({ name }) => name).join("|"))
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  return ((hash ^ (hash >>> 16)) & 0xffff).toString(16).padStart(4, "0");
}

function encode(moves: readonly Move[]): string {
  let text = "";
  for (let i = 0; i < moves.length;) {
    let end = i + 1;
    while (moves[end] === moves[i]) end++;
    const letter = LETTERS[taskOf(moves[i]!)]! + (choiceOf(moves[i]!) === 0 ? "" : `.${choiceOf(moves[i]!)}`);
    text += end - i > 2 ? `${letter}*${end - i}` : letter.repeat(end - i);
    i = end;
  }
  return text;
}

function decode(model: Model, text: string): Move[] {
  const moves: Move[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw broken(model, `"${text.slice(at)}" is no move`);
    const [, letter, choice = "0", times = "1"] = match;
    for (let i = 0; i < Number(times); i++) moves.push(move(LETTERS.indexOf(letter!), Number(choice)));
  }
  return moves;
}

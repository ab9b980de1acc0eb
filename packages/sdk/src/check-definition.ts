import { didYouMean, nearMisses } from "@mmu-notifier/steps";
import { MMU_NOTIFY_EVENTS } from "@mmu-notifier/bus";
import type { SecondaryMmuDefinition } from "./definition.js";
import { SDK_GENERATION } from "./definition.js";
import { SdkError } from "./errors.js";

type Fields = Readonly<Record<string, unknown>>;

const KNOWN = ["name", "sdk", "summary", "declares", "options", "decides", "device", "create"];
const SCOPES = ["inner-shareable", "cpus", "local", "none"];

/** A declaration: what it may be. */
type Rule = "boolean" | "number" | readonly string[] | { readonly listOf: readonly string[] };

const DECLARATIONS: Readonly<Record<string, Rule>> = {
  pageTable: ["shared-walk", "mirror", "pinned"],
  onMissingRight: ["fault", "re-walk", "either"],
  resolvesFaultsInSoftware: "boolean",
  reachedByBroadcast: { listOf: SCOPES },
  filters: { listOf: MMU_NOTIFY_EVENTS },
  ats: "boolean",
  pri: "boolean",
  ha: "boolean",
  hd: "boolean",
  agesPages: "boolean",
  cachesReadOnly: "boolean",
  dropsBeforeRetry: "boolean",
  maySleep: "boolean",
  nonBlockable: ["proceeds", "refuses"],
  owner: "number",
  granularity: ["page", "power-of-two", "whole"],
  completes: ["before-return", "at-next-sync"],
  afterRelease: ["aborts", "faults"],
  maxCommandsPerCall: "number",
};
const REQUIRED = ["pageTable", "onMissingRight", "resolvesFaultsInSoftware", "reachedByBroadcast", "filters"];

/**
 * Checks what a package exports as a driver and gives it its type.
 *
 * @param candidate the default export
 * @param origin package or file, for messages
 * @throws SdkError SDK_VERSION_UNSUPPORTED, SDK_DEFINITION_INVALID; the message names the field and the remedy
 */
export function checkDefinition(candidate: unknown, origin: string): SecondaryMmuDefinition<unknown, object> {
  if (typeof candidate !== "object" || candidate === null) {
    refuse(origin, `its default export is ${show(candidate)}`, "export default defineSecondaryMmu({ … })");
  }
  const fields = candidate as Fields;
  if (fields["sdk"] !== SDK_GENERATION) {
    if (fields["sdk"] === undefined) refuse(origin, nearly(fields, "sdk"), `write sdk: ${SDK_GENERATION}`);
    throw new SdkError(
      "SDK_VERSION_UNSUPPORTED",
      `${origin} is written for sdk ${show(fields["sdk"])}, this is sdk ${SDK_GENERATION}. Install a version of ${origin} for sdk ${SDK_GENERATION}`,
      { origin, sdk: show(fields["sdk"]) },
    );
  }
  const { name } = fields;
  if (typeof name !== "string" || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    refuse(origin, `${nearly(fields, "name")}: ${show(name)}`, 'use a kebab-case string, for instance "acme-npu"');
  }
  if (typeof fields["summary"] !== "string" || fields["summary"] === "")
    refuse(origin, nearly(fields, "summary"), "write one line that says what the device is");
  if (typeof fields["create"] !== "function")
    refuse(origin, nearly(fields, "create"), "make create a function from a binding context to a binding");
  for (const optional of ["decides", "device"]) {
    if (fields[optional] !== undefined && typeof fields[optional] !== "function")
      refuse(origin, `${optional} is ${show(fields[optional])}`, `make ${optional} a function, or leave it out`);
  }
  if (fields["options"] !== undefined && (typeof fields["options"] !== "object" || fields["options"] === null)) {
    refuse(origin, `options is ${show(fields["options"])}`, "make options an object of defaults, or leave it out");
  }
  for (const field of Object.keys(fields)) {
    if (!KNOWN.includes(field)) refuse(origin, `it has an unknown field ${field}`, suggestion(field, KNOWN));
  }
  if (typeof fields["declares"] !== "function") checkDeclarations(fields["declares"], origin, fields);
  return candidate as SecondaryMmuDefinition<unknown, object>;
}

/**
 * Checks assumptions, whether a definition has them as an object or a function or a binding returned them.
 *
 * @param fields of the definition, to find the name that was meant
 * @throws SdkError SDK_DEFINITION_INVALID
 */
export function checkDeclarations(declares: unknown, origin: string, fields: Fields = {}): void {
  if (typeof declares !== "object" || declares === null)
    refuse(
      origin,
      nearly(fields, "declares"),
      "make declares an object of assumptions, or a function that returns one",
    );
  const known = Object.keys(DECLARATIONS);
  const given = declares as Fields;
  for (const field of Object.keys(given)) {
    if (!known.includes(field)) refuse(origin, `declares has an unknown field ${field}`, suggestion(field, known));
  }
  for (const field of REQUIRED)
    if (given[field] === undefined)
      refuse(origin, `declares.${field} is missing`, `it is ${ruleText(DECLARATIONS[field]!)}`);
  for (const [field, value] of Object.entries(given)) {
    if (value !== undefined && !obeys(value, DECLARATIONS[field]!))
      refuse(origin, `declares.${field} is ${show(value)}`, `it is ${ruleText(DECLARATIONS[field]!)}`);
  }
}

function obeys(value: unknown, rule: Rule): boolean {
  if (rule === "boolean") return typeof value === "boolean";
  if (rule === "number") return typeof value === "number" && Number.isInteger(value) && value >= 0;
  if ("listOf" in rule)
    return Array.isArray(value) && value.every((item) => typeof item === "string" && rule.listOf.includes(item));
  return typeof value === "string" && rule.includes(value);
}

function ruleText(rule: Rule): string {
  if (rule === "boolean") return "true or false";
  if (rule === "number") return "a whole number, at least 0";
  if ("listOf" in rule) return `an array of ${rule.listOf.map((word) => JSON.stringify(word)).join(", ")}`;
  return rule.map((word) => JSON.stringify(word)).join(" or ");
}

/**
 * The definition's defaults with the user's options over them.
 *
 * @throws SdkError SDK_OPTIONS_INVALID for names or types that the defaults do not have
 */
export function resolveOptions<D, O extends object>(
  definition: SecondaryMmuDefinition<D, O>,
  given: Partial<O> = {},
): O {
  const defaults = (definition.options ?? {}) as Fields;
  const known = Object.keys(defaults);
  for (const [option, value] of Object.entries(given)) {
    const standard = defaults[option];
    if (standard === undefined) {
      const list = known.length === 0 ? "it has none" : `it has ${known.join(", ")}`;
      throw new SdkError(
        "SDK_OPTIONS_INVALID",
        `driver ${definition.name} has no option ${option}: ${list}. ${suggestion(option, known)}`,
        { driver: definition.name, option },
      );
    }
    if (value !== undefined && kind(value) !== kind(standard)) {
      throw new SdkError(
        "SDK_OPTIONS_INVALID",
        `option ${option} of driver ${definition.name} is ${show(value)}. Give ${article(kind(standard))}, as the default ${show(standard)}`,
        {
          driver: definition.name,
          option,
        },
      );
    }
  }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...defaults, ...set } as O;
}

function kind(value: unknown): string {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

function article(word: string): string {
  return /^[aeio]/.test(word) ? `an ${word}` : `a ${word}`;
}

function suggestion(field: string, known: readonly string[]): string {
  return didYouMean(field, known).trim() || `Remove ${field}`;
}

/** "create is missing", or what was written instead. */
function nearly(fields: Fields, wanted: string): string {
  if (fields[wanted] !== undefined) return `${wanted} is ${show(fields[wanted])}`;
  const [near] = nearMisses(
    wanted,
    Object.keys(fields).filter((field) => !KNOWN.includes(field)),
  );
  return near === undefined ? `${wanted} is missing` : `${wanted} is missing, but there is ${near}`;
}

function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

function refuse(origin: string, what: string, remedy: string): never {
  throw new SdkError(
    "SDK_DEFINITION_INVALID",
    `${origin} is no secondary-MMU driver: ${what}. ${remedy[0]!.toUpperCase()}${remedy.slice(1)}`,
    { origin },
  );
}

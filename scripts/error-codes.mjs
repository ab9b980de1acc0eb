// The error and warning codes of packages/*/src, read with a parser: what docs/reference/errors.md has to describe.
// Codes are thrown in classes below MmuNotifierError, reported as members of a union, or sent as `{ kind: "error", code }`.
import { readFileSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "vite";

const BASE = "MmuNotifierError";
const CODE = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/;
/** Unions of codes have names such as BusErrorCode and BusWarningCode. */
const UNION_NAME = /(?:Error|Warning)Code$/;

function sourcesOf(root) {
  const packages = join(root, "packages");
  return readdirSync(packages)
    .flatMap((name) => {
      try {
        return readdirSync(join(packages, name, "src"), { withFileTypes: true, recursive: true });
      } catch {
        return [];
      }
    })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
    .map((file) => {
      const text = readFileSync(file, "utf8");
      const path = relative(root, file).replaceAll(sep, "/");
      return { path, package: path.split("/")[1], text, program: parseSync(file, text).program };
    });
}

/** Calls `visit` for every node, with the functions and classes around it, innermost last. */
function walk(node, visit, around = []) {
  if (typeof node !== "object" || node === null) return;
  if (typeof node.type === "string") {
    visit(node, around);
    if (/Function|MethodDefinition|VariableDeclarator|ClassDeclaration/.test(node.type)) around = [...around, node];
  }
  for (const child of Object.values(node)) walk(child, visit, around);
}

const isFunction = ({ type }) => /Function/.test(type);

/** Texts of a union of string literals, undefined when the type is anything else. */
function literalsOf(type) {
  const parts = type?.type === "TSUnionType" ? type.types : [type];
  const texts = parts.map((part) => (part?.type === "TSLiteralType" ? part.literal.value : undefined));
  return texts.every((text) => typeof text === "string") ? texts : undefined;
}

/** What a function is called by: its own name, its variable's, or its method's. */
function nameOf(fn, around) {
  if (fn.id) return fn.id.name;
  const holder = around[around.indexOf(fn) - 1];
  if (holder?.type === "VariableDeclarator") return holder.id.name;
  if (holder?.type === "MethodDefinition") return holder.key.name;
  return undefined;
}

class Collector {
  /** Code to the packages that throw or report it. */
  codes = new Map();
  /** Members of unions, and whether an expression of the package uses them. */
  declared = [];
  problems = [];
  /** Class name to the position of its code argument, or to the code itself. */
  #classes = new Map([[BASE, 0]]);
  #sources;

  constructor(root) {
    this.#sources = sourcesOf(root);
    this.#readClasses();
    for (const source of this.#sources) walk(source.program, (node, around) => this.#read(source, node, around));
    this.#checkUnions();
  }

  #add(code, source) {
    const packages = this.codes.get(code) ?? new Set();
    this.codes.set(code, packages.add(source.package));
  }

  /** Classes below {@link BASE}, to any depth: where their code comes from is in the first argument of `super()`. */
  #readClasses() {
    for (let before = 0; before !== this.#classes.size;) {
      before = this.#classes.size;
      for (const source of this.#sources) {
        walk(source.program, (node) => {
          if (node.type !== "ClassDeclaration" || !this.#classes.has(node.superClass?.name)) return;
          if (this.#classes.has(node.id.name)) return;
          const inherited = this.#classes.get(node.superClass.name);
          const constructor = node.body.body.find(({ kind }) => kind === "constructor");
          if (constructor === undefined) return void this.#classes.set(node.id.name, inherited);
          const [code] = this.#superCall(constructor).arguments;
          const at = constructor.value.params.findIndex(({ name }) => name !== undefined && name === code.name);
          this.#classes.set(node.id.name, at);
          if (at < 0) {
            for (const text of this.#codesIn(code, [constructor, constructor.value], source)) this.#add(text, source);
          }
        });
      }
    }
  }

  #superCall(constructor) {
    let found;
    walk(constructor, (node) => {
      if (node.type === "CallExpression" && node.callee.type === "Super") found ??= node;
    });
    return found;
  }

  #read(source, node, around) {
    if (node.type === "TSTypeAliasDeclaration" && UNION_NAME.test(node.id.name)) {
      const members = literalsOf(node.typeAnnotation) ?? [];
      for (const code of members) this.declared.push({ code, union: node.id.name, source });
    }
    if (node.type === "NewExpression" && this.#classes.has(node.callee.name)) {
      const at = this.#classes.get(node.callee.name);
      if (at < 0) return;
      for (const code of this.#codesIn(node.arguments[at], around, source)) this.#add(code, source);
    }
    if (node.type === "ObjectExpression") {
      const field = (name) => node.properties.find(({ key }) => key?.name === name)?.value;
      if (field("kind")?.value !== "error" || field("code") === undefined) return;
      for (const code of this.#codesIn(field("code"), around, source)) this.#add(code, source);
    }
  }

  /** The codes an expression can have; a helper's parameter has those of its union or of the helper's calls. */
  #codesIn(node, around, source) {
    switch (node?.type) {
      case "Literal":
        return [node.value];
      case "ConditionalExpression":
        return [...this.#codesIn(node.consequent, around, source), ...this.#codesIn(node.alternate, around, source)];
      case "TemplateLiteral":
        return [node.quasis.map(({ value }) => value.cooked).join("*")];
      case "Identifier":
        return this.#codesOfParameter(node, around, source);
      default:
        return this.#unclear(node, source);
    }
  }

  #codesOfParameter(node, around, source) {
    const fn = around.findLast((outer) => isFunction(outer) && outer.params.some(({ name }) => name === node.name));
    if (fn === undefined) return this.#unclear(node, source);
    const at = fn.params.findIndex(({ name }) => name === node.name);
    const type = fn.params[at].typeAnnotation?.typeAnnotation;
    // The members of a named union are collected, and checked for use, where the union is declared.
    if (type?.type === "TSTypeReference" && UNION_NAME.test(type.typeName.name)) return [];
    const literals = literalsOf(type);
    if (literals !== undefined) return literals;
    const name = nameOf(fn, around);
    const codes = [];
    walk(source.program, (call) => {
      const callee = call.type === "CallExpression" ? (call.callee.property ?? call.callee) : undefined;
      if (callee !== undefined && callee.name === name) codes.push(...this.#codesIn(call.arguments[at], [], source));
    });
    return codes.length === 0 ? this.#unclear(node, source) : codes;
  }

  #unclear(node, source) {
    const line = source.text.slice(0, node?.start ?? 0).split("\n").length;
    this.problems.push(`${source.path}:${line}: which code is thrown here cannot be read off the source`);
    return [];
  }

  /** A member of a union counts when some expression of its package uses it. */
  #checkUnions() {
    for (const { code, union, source } of this.declared) {
      let used = false;
      for (const other of this.#sources.filter((other) => other.package === source.package)) {
        walk(other.program, (node) => {
          for (const [key, child] of Object.entries(node)) {
            if (key !== "literal" && child?.type === "Literal" && child.value === code) used = true;
            if (Array.isArray(child) && child.some((item) => item?.type === "Literal" && item.value === code))
              used = true;
          }
        });
      }
      if (used) this.#add(code, source);
      else this.problems.push(`${source.path}: ${code} is in ${union}, but nothing in ${source.package} uses it`);
    }
  }
}

/**
 * Every code with the packages it comes from, and what could not be read. A code made from a template has `*` where the
 * template has an expression.
 */
export function errorCodes(root) {
  const { codes, problems } = new Collector(root);
  const strange = [...codes.keys()].filter((code) => !CODE.test(code.replace("*", "X")));
  return {
    codes: new Map(
      [...codes]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([code, from]) => [code, [...from].sort((a, b) => (a < b ? -1 : 1))]),
    ),
    problems: [...problems, ...strange.map((code) => `${JSON.stringify(code)} is no code`)],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { codes, problems } = errorCodes(fileURLToPath(new URL("..", import.meta.url)));
  for (const [code, packages] of codes) console.log(`${code.padEnd(36)} ${packages.join(", ")}`);
  for (const problem of problems) console.error(problem);
}

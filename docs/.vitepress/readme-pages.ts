import { posix } from "node:path";

/** The parts of markdown-it that are used here; VitePress brings it along. */
interface Token {
  readonly type: string;
  readonly tag: string;
  readonly children: Token[] | null;
  content: string;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
}

interface MarkdownIt {
  readonly core: {
    readonly ruler: {
      push(
        name: string,
        rule: (state: { readonly tokens: Token[]; readonly env: { readonly relativePath?: string } }) => void,
      ): void;
    };
  };
}

/** The page of the site that shows a file of the repository, if one does: `/packages/sdk` for packages/sdk/README.md. */
function pageOf(file: string): string | undefined {
  const readme = /^(packages|examples)\/([\w-]+)(?:\/README\.md)?$/.exec(file);
  if (readme !== null) return `/${readme[1]}/${readme[2]}`;
  return /^docs(\/.+)\.md$/.exec(file)?.[1];
}

/** What a link of packages/sdk/README.md or examples/NN-name/README.md is on the site; undefined when the site lacks it. */
function siteLink(folder: string, href: string): string | undefined {
  if (/^(?:[a-z]+:|#|\/)/.test(href)) return href;
  const [path = "", fragment] = href.split("#", 2);
  const page = pageOf(posix.join(folder, path).replace(/\/$/, ""));
  return page === undefined || fragment === undefined ? page : `${page}#${fragment}`;
}

function rewriteLinks(tokens: Token[], folder: string): Token[] {
  const kept: Token[] = [];
  let unlinked = false;
  for (const token of tokens) {
    if (token.type === "link_open") {
      const link = siteLink(folder, token.attrGet("href") ?? "");
      unlinked = link === undefined;
      if (link !== undefined) token.attrSet("href", link);
    }
    if (!unlinked || (token.type !== "link_open" && token.type !== "link_close")) kept.push(token);
    if (token.type === "link_close") unlinked = false;
  }
  return kept;
}

/**
 * Makes pages that include a README read well: a README's own title does not follow that of the page, its links to other
 * READMEs and to docs/ become links of the site, and links to sources, which the site does not have, become text.
 */
export function readmePages(md: MarkdownIt): void {
  md.core.ruler.push("readme-pages", (state) => {
    const [, section, name] = /^(packages|examples)\/([\w-]+)\.md$/.exec(state.env.relativePath ?? "") ?? [];
    if (section === undefined || name === undefined) return;
    for (const token of state.tokens) {
      if (token.children !== null) {
        token.children.splice(0, token.children.length, ...rewriteLinks(token.children, `${section}/${name}`));
      }
    }
    let titles = 0;
    let inTitle = false;
    const kept = state.tokens.filter(({ type, tag }) => {
      if (type === "heading_open" && tag === "h1") inTitle = ++titles > 1;
      const keep = !inTitle;
      if (type === "heading_close") inTitle = false;
      return keep;
    });
    state.tokens.splice(0, state.tokens.length, ...kept);
  });
}

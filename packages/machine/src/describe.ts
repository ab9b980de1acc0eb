import { describeTokens } from "./composition.js";
import type { Machine } from "./machine.js";

interface Node {
  readonly text: string;
  readonly children?: readonly Node[];
}

/** The machine as a tree of lines. */
export function describeMachine(machine: Machine): string {
  const { kernel, registry, processes, devices } = machine;
  const { profile, arch, config } = kernel;
  const leaf = (text: string): Node => ({ text });
  const tree: Node = {
    text: `machine: kernel ${profile.name} on ${arch.name}`,
    children: [
      leaf(`kernel ${profile.name}: ${profile.summary}`),
      leaf(`architecture ${arch.name}: ${arch.summary}`),
      leaf(
        `config: ${config.cpus} CPU, THP ${config.thp}, ${config.hugetlbPages} hugetlb pages, ${config.swapSlots} swap slots`,
      ),
      { text: "processes", children: processes.map(({ name, mm }) => leaf(`${name} (mm ${mm})`)) },
      {
        text: "devices",
        children: devices.map((device) => ({
          text: `${device.name}: driver ${device.definition.name} from ${device.origin}`,
          children: device.mms.map((mm) => {
            const process = processes.find((candidate) => candidate.mm === mm);
            const { declarations, decision } = device.binding(process);
            const filters = declarations.filters.length === 0 ? "no event" : declarations.filters.join(", ");
            return {
              text: `bound to ${process?.name ?? `mm ${mm}`}`,
              children: [
                leaf(`filters ${filters}`),
                leaf(`on upgrade: ${decision.protectionUpgrade}, because ${decision.because}`),
              ],
            };
          }),
        })),
      },
      {
        text: "plugins",
        children: registry.list().map(({ plugin, name, origin }) => leaf(`${plugin.kind} ${name} from ${origin}`)),
      },
      { text: "tokens", children: [...describeTokens("machine"), ...describeTokens("process")].map(leaf) },
    ],
  };
  return lines(tree, "", "").join("\n");
}

function lines(node: Node, first: string, rest: string): string[] {
  const { children = [] } = node;
  return [
    `${first}${node.text}`,
    ...children.flatMap((child, index) => {
      const last = index === children.length - 1;
      return lines(child, `${rest}${last ? "└─ " : "├─ "}`, `${rest}${last ? "   " : "│  "}`);
    }),
  ];
}

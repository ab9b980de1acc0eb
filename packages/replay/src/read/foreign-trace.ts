import { type PluginRegistry, pluginThrew } from "@mmu-notifier/machine";
import { readChunks, sourceName, type TraceSource } from "./chunks.js";

/** Characters of a file that readers may look at to recognize it. */
const HEAD = 400;

/**
 * What a trace reader of a plugin makes of a file that one recognizes; any other file as it is.
 *
 * @throws MachineError PLUGIN_THREW; TraceError TRACE_UNREADABLE, TRACE_COMPRESSION
 */
export async function converted(source: TraceSource, registry: PluginRegistry | undefined): Promise<TraceSource> {
  const readers = registry?.list("trace-reader") ?? [];
  if (readers.length === 0) return source;
  const decoder = new TextDecoder();
  let head = "";
  for await (const chunk of readChunks(source)) {
    head += decoder.decode(chunk.subarray(0, HEAD), { stream: true });
    if (head.length >= HEAD) break;
  }
  for (const { name, origin, plugin } of readers) {
    try {
      if (!plugin.reader.recognizes(head.slice(0, HEAD))) continue;
      const text = plugin.reader.convert(await wholeText(source));
      return { name: sourceName(source), bytes: new TextEncoder().encode(text) };
    } catch (cause) {
      throw pluginThrew("trace reader", name, origin, cause);
    }
  }
  return source;
}

async function wholeText(source: TraceSource): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of readChunks(source)) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

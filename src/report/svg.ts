// Draws DOT with Graphviz in WebAssembly. The module is large, so it is loaded only when needed.

/** Loads while other work goes on. */
export async function startGraphviz(): Promise<(dot: string) => string> {
  const { instance } = await import("@viz-js/viz");
  const graphviz = await instance();
  return (dot) => graphviz.renderString(dot, { format: "svg" });
}

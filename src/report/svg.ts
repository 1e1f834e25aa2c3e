// Draws DOT, by Graphviz in WebAssembly. It is large, and loaded by nobody else.

/** Made ready while other things are done. */
export async function startGraphviz(): Promise<(dot: string) => string> {
  const { instance } = await import("@viz-js/viz");
  const graphviz = await instance();
  return (dot) => graphviz.renderString(dot, { format: "svg" });
}

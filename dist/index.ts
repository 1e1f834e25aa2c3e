// The library where nothing has been built, as in a git dependency: package.json names index.js, which a build writes, and
// Bun takes this if it is missing.

export * from "../src/index.ts";

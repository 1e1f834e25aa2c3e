// The choices of settings and their meanings; help, settings and messages are generated from them.

export const MODES = {
  auto: "in-process where that is possible, else attached",
  "in-process": "in this process; programs that cannot be there are refused",
  attached: "in a process of its own",
} as const;

export type Mode = keyof typeof MODES;

export const NAMESPACE_CHOICES = {
  auto: "where the kernel permits it, else by the ld.so's name",
  always: "or nothing is run",
  never: "each process is started by the ld.so's name",
} as const;

export type NamespaceChoice = keyof typeof NAMESPACE_CHOICES;

export const GLIBC_CHOICES = {
  auto: "the newest that the runtime, a host tree or the machine has",
  runtime: "the runtime's",
  host: "the newest of the host trees'",
} as const;

/** One of these, or the tree whose glibc to use. */
export type GlibcChoice = keyof typeof GLIBC_CHOICES | { readonly tree: string };

// What may be chosen, and what each choice means; the help, the settings and messages are made from it.

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

/** One of these, or a tree of which it is. */
export type GlibcChoice = keyof typeof GLIBC_CHOICES | { readonly tree: string };

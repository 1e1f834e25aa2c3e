// Where this command's own code is: beside the file that Bun was started with (src/main.ts, or dist/main.js), or all of
// it in one executable, which has a file system of its own for that. In a bundle of CommonJS, import.meta is of no use:
// it names the file that the bundle was made of.
//
// Nothing is imported here: see from-cache.ts. Only the main thread can ask: a Worker has another Bun.main.

/** Where an executable made by `bun build --compile` has its code. */
const IN_EXECUTABLE = "/$bunfs/";

/** Is this process's file an executable with the program in it, and not Bun? */
export const isExecutable = (): boolean => Bun.main.startsWith(IN_EXECUTABLE);

/** The path of one of this command's scripts; `name` is relative to src/, without an extension. */
export function ownScript(name: string): string {
  const folder = Bun.main.slice(0, Bun.main.lastIndexOf("/") + 1);
  const extension = isExecutable() ? ".js" : Bun.main.slice(Bun.main.lastIndexOf("."));
  return `${folder}${name}${extension}`;
}

/** How to start this command anew, without its arguments. */
export const commandWords = (): string[] =>
  isExecutable() ? [process.execPath] : [process.execPath, "--no-env-file", "--config=/dev/null", Bun.main];

/** The first argument for a server of attached programs, where the command's own file is all that can be started. */
const SERVE = "__serve";

/** Which script the command's first argument asks for. */
export function scriptFor(argument: string | undefined): string {
  if (argument === SERVE && isExecutable()) return ownScript("attached/server");
  return ownScript(argument === "exec" ? "exec" : "command");
}

/**
 * The command line of such a server, without its arguments. `words` are this process's own, one character a byte,
 * without the command's arguments.
 */
export const serverWords = (words: readonly string[]): string[] =>
  isExecutable() ? [...words, SERVE] : [...words.slice(0, -1), latin1(ownScript("attached/server"))];

const latin1 = (text: string): string => Buffer.from(text).toString("latin1");

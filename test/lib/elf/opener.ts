// What the machine's own ld.so makes of files.

import { checkFile } from "../../../lib/elf/check.ts";
import { openImage } from "../../../lib/elf/file.ts";
import { readLibrary } from "../../../lib/elf/library.ts";
import { placeholderOf } from "../../../lib/elf/write/placeholder.ts";
import { stubLibraryOf } from "../../../lib/elf/write/stub-library.ts";
import type { Scratch } from "./scratch.ts";

/** Opens each file in a process of its own. */
const SOURCE = `
#include <dlfcn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    pid_t child = fork();
    if (child == 0) {
      freopen("/dev/null", "w", stdout);
      void *opened = dlopen(argv[i], RTLD_NOW);
      int (*blue)(void) = opened ? (int (*)(void))dlsym(opened, "blue") : 0;
      const char *fault = opened ? "opened" : dlerror();
      if (blue) dprintf(2, "%d\\n", blue());
      else dprintf(2, "%s\\n", fault);
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) dprintf(2, "ended with %x\\n", status);
  }
  return 0;
}
`;

/** A line a file, in order: what `blue` returns, "opened" where it has none, else what dlerror(3) says or how it ended. */
export function openedByLdSo(scratch: Scratch, files: readonly string[]): string[] {
  const opener = scratch.compile("opener", SOURCE, "-ldl");
  const { stderr } = Bun.spawnSync([opener, ...files], { env: { LC_ALL: "C" } });
  return stderr.toString().trimEnd().split("\n");
}

/** The checks accept a file, and all can be read of it that is wanted of any. */
export function expectReadable(scratch: Scratch, path: string): void {
  checkFile(path, "whole");
  readLibrary(path);
  using image = openImage(path);
  const names = { soname: "libodd.so", needed: [], agent: "libagent.so", attach: "attach" };
  const made = [placeholderOf(image, { ...names, owner: "odd", status: 1 }), stubLibraryOf(image, [])];
  for (const bytes of made) checkFile(scratch.write("made.so", bytes), "whole");
  void image.strings.bytes;
}

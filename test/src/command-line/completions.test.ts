// Completions, as bash, zsh and fish make them of the scripts that they are given.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { PROFILES } from "../../../src/profiles/profiles.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { command } from "../../support/run.ts";
import { completed, type Shell, scriptFor } from "./shells.ts";

const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];
const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

const tree = new SmallTree({ "/trees/bookworm/x": Buffer.from(""), "/trees/book.txt": Buffer.from("") });
tree.add("/bin/capsule-test-game", Buffer.from("#!/bin/sh\n"));
chmodSync(tree.path("/bin/capsule-test-game"), 0o755);
afterAll(() => tree[Symbol.dispose]());
const env = { PATH: `${tree.path("/bin")}:/usr/bin:/bin` };

describe.each(SHELLS.map((shell) => [shell] as const))("%s", (shell) => {
  const script = scriptFor(shell, tree.directory);
  const complete = async (line: string, more = {}) => completed(shell, await script, line, { ...env, ...more });
  /** What is put in: zsh says the last part of a path or a list, fish all of an option. */
  const last = (words: readonly string[]) =>
    words.map((word) => word.replace(/\/$/, "").split(/[/,=]/).at(-1) ?? "").sort();

  test("completes commands", async () => {
    expect(await complete("capsule ")).toEqual(
      expect.arrayContaining(["completions", "doctor", "exec", "help", "symbols"]),
    );
    expect(await complete("capsule exe")).toEqual(["exec"]);
    expect(await complete("capsule help exe")).toEqual(["exec"]);
  });

  test("completes a command's own options, and those of no command", async () => {
    const options = await complete("capsule exec --");
    expect(options).toEqual(expect.arrayContaining(["--host", "--isolate", "--mode", "--trace", "--help"]));
    expect(await complete("capsule symbols --un")).toEqual(["--undefined"]);
    expect(await complete("capsule exec --un")).toEqual([]);
    expect(await complete("capsule --ver")).toEqual(["--version"]);
  });

  test("completes words, behind a space and behind an equals sign", async () => {
    expect(await complete("capsule exec --mode ")).toEqual(["attached", "auto", "in-process"]);
    expect(last(await complete("capsule exec --mode=att"))).toEqual(["attached"]);
    expect(await complete("capsule completions ")).toEqual(["bash", "fish", "zsh"]);
  });

  test("completes words that need not be there behind an equals sign alone", async () => {
    expect(last(await complete("capsule link --explain=js"))).toEqual(["json"]);
    expect(await complete("capsule link --explain capsule-test-")).toEqual(["capsule-test-game"]);
    expect(last(await complete("capsule link --explain=json capsule-test-"))).toEqual(["capsule-test-game"]);
  });

  test("completes lists, without what is in them already", async () => {
    expect(last(await complete("capsule exec --profile "))).toEqual(Object.keys(PROFILES).sort());
    expect(last(await complete("capsule exec --profile gl,vul"))).toEqual(["vulkan"]);
    expect(last(await complete("capsule exec --trace plan,sear"))).toEqual(["search"]);
    expect(last(await complete("capsule exec --profile vulkan,v"))).toEqual(["video"]);
  });

  test("completes directories where a tree is asked for, and words with them for a glibc", async () => {
    expect(last(await complete(`capsule exec --host ${tree.path("/trees/book")}`))).toEqual(["bookworm"]);
    expect(last(await complete(`capsule doctor --runtime=${tree.path("/trees/book")}`))).toEqual(["bookworm"]);
    expect(last(await complete(`capsule exec --glibc ${tree.path("/trees/book")}`))).toEqual(["bookworm"]);
    expect(await complete("capsule exec --glibc runt")).toEqual(["runtime"]);
  });

  test("completes files where a library is asked for", async () => {
    expect(last(await complete(`capsule symbols ${tree.path("/trees/book")}`))).toEqual(["book.txt", "bookworm"]);
  });

  test("completes a program by PATH, or by its path", async () => {
    expect(await complete("capsule exec --mode auto capsule-test-")).toEqual(["capsule-test-game"]);
    expect(await complete("capsule doctor -v capsule-test-")).toEqual(["capsule-test-game"]);
    expect(last(await complete(`capsule exec ${tree.path("/bin/capsule-test-g")}`))).toEqual(["capsule-test-game"]);
  });

  test("leaves what is behind the program to the program", async () => {
    const installed = shell === "bash" ? { WITH_BASH_COMPLETION: BASH_COMPLETION } : {};
    expect(await complete("capsule exec capsule-test-game --mo", installed)).toEqual([]);
    expect(await complete("capsule exec --isolate libfoo.so.1 -- ls --almost", installed)).toEqual(["--almost-all"]);
    expect(last(await complete(`capsule exec ls ${tree.path("/trees/book.")}`, installed))).toEqual(["book.txt"]);
  });
});

test("bash has files behind the program where the package bash-completion is missing", async () => {
  const script = await scriptFor("bash", tree.directory);
  const path = tree.path("/trees/book.");
  expect(await completed("bash", script, `capsule exec ls ${path}`, env)).toEqual([`${path}txt`]);
});

test("bash takes no file for a program that may not be run", async () => {
  tree.add("/data/capsule-test-data", Buffer.from(""));
  const script = await scriptFor("bash", tree.directory);
  const PATH = `${env.PATH}:${tree.path("/data")}`;
  expect(await completed("bash", script, "capsule exec capsule-test-", { PATH })).toEqual(["capsule-test-game"]);
});

test("another shell is refused, with those that there are", async () => {
  const outcome = await command(["completions", "csh"]);
  expect(outcome).toMatchObject({ stdout: "", exitCode: 2 });
  expect(outcome.stderr).toContain("Allowed choices are bash, zsh, fish");
});

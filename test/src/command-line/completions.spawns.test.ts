// Completions, as bash, zsh and fish make them of the scripts that they are given.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { PROFILES } from "../../../src/profiles/profiles.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { command } from "../../support/run.ts";
import { afterTab, completed, installCommand, type Shell, scriptFor } from "./shells.ts";

/** The first two letters are nobody else's. */
const ODD = ["z1 with  spaces:=colons", "z2'quote\"s$HOME`id`$(id)", "z3\nnewline\\back;&|<>*?[~#!{a,b}"];

const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];
const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

const tree = new SmallTree({ "/trees/bookworm/x": Buffer.from(""), "/trees/book.txt": Buffer.from("") });
tree.add("/bin/capsule-test-game", Buffer.from("#!/bin/sh\n"));
chmodSync(tree.path("/bin/capsule-test-game"), 0o755);
for (const name of ["libred.so", "libred.so.4", "libred.so.4.11", "libblue.so.1", "libblue-2.so", "libred.a", "red"])
  tree.add(`/host/usr/lib/${name}`, Buffer.from(""));
for (const name of ODD) {
  tree.add(`/odd/${name.slice(0, 2)}/${name}/x`, Buffer.from(""));
  tree.add(`/programs/${name}`, Buffer.from("#!/bin/sh\n"));
  chmodSync(tree.path(`/programs/${name}`), 0o755);
}
const profiles = [...ODD, "mine"].map((name) => `[profiles.${JSON.stringify(name)}]\nsummary = "its: \\"own\\""\n`);
tree.add("/config/capsule/capsule.toml", Buffer.from(profiles.join("")));
beforeAll(() => installCommand(tree.path("/bin")));
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

  test("completes a soname of the host tree that is named, and of a list", async () => {
    const host = tree.path("/host");
    for (const line of [
      `why --host ${host} libre`,
      `symbols --host=${host} libre`,
      `exec --host ${host} --isolate libre`,
    ])
      expect([line, await complete(`capsule ${line}`)]).toEqual([line, ["libred.so.4"]]);
    expect(last(await complete(`capsule exec --host ${host} --isolate libblue.so.1,libre`))).toEqual(["libred.so.4"]);
    expect(await complete(`capsule version --host ${host} `)).toEqual(["libblue-2.so", "libblue.so.1", "libred.so.4"]);
  });

  test("completes a program by PATH, or by its path", async () => {
    expect(await complete("capsule exec --mode auto capsule-test-")).toEqual(["capsule-test-game"]);
    expect(await complete("capsule doctor -v capsule-test-")).toEqual(["capsule-test-game"]);
    expect(last(await complete(`capsule exec ${tree.path("/bin/capsule-test-g")}`))).toEqual(["capsule-test-game"]);
  });

  test("completes own profiles, from the user's file of settings", async () => {
    const XDG_CONFIG_HOME = tree.path("/config");
    expect(last(await complete("capsule exec --profile gl,mine", { XDG_CONFIG_HOME }))).toEqual(["mine"]);
  });

  test("completes the directory of a library's own host tree", async () => {
    const line = `capsule exec --isolate libfoo.so.1=/x,libbar.so.1=${tree.path("/trees/book")}`;
    expect(last(await complete(line))).toEqual(["bookworm"]);
    expect(last(await complete(line.replace("--isolate ", "--isolate=")))).toEqual(["bookworm"]);
  });

  test("offers an option once, unless it may be there twice", async () => {
    expect(await complete("capsule exec --mode auto --mod")).toEqual([]);
    expect(await complete("capsule exec --trace plan --trac")).toEqual(["--trace"]);
    expect(await complete("capsule exec --help --mod")).toEqual([]);
  });

  test.each(ODD)("puts %j into the line as that", async (name) => {
    const directory = tree.path(`/odd/${name.slice(0, 2)}`);
    const more = { ...env, PATH: `${env.PATH}:${tree.path("/programs")}`, XDG_CONFIG_HOME: tree.path("/config") };
    const after = async (line: string) => (await afterTab(shell, await script, line, more)).slice(1);
    // zsh and fish go on with what is in it.
    const path = join(directory, name);
    const within = expect.stringMatching(new RegExp(`^${RegExp.escape(path)}/?$`));
    expect(await after(`capsule exec --host ${directory}/`)).toEqual(["exec", "--host", within]);
    expect(await after(`capsule graph -o ${directory}/`)).toEqual(["graph", "-o", within]);
    expect(await after(`capsule exec --profile ${name.slice(0, 2)}`)).toEqual([
      "exec",
      "--profile",
      // zsh expects another one.
      shell === "zsh" ? `${name},` : name,
    ]);
    // What fish completes for another command is a line each.
    if (shell === "fish" && name.includes("\n")) return;
    expect(await after(`capsule exec ${name.slice(0, 2)}`)).toEqual(["exec", name]);
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

test("bash goes on to a program by a directory that is there", async () => {
  const script = await scriptFor("bash", tree.directory);
  expect(await completed("bash", script, "capsule exec fixtur", env)).toEqual(["fixtures/"]);
});

test("nothing is offered, and nothing said, where the command is missing, or does not know the shell", async () => {
  for (const shell of SHELLS) {
    const script = await scriptFor(shell, tree.directory);
    expect(await completed(shell, script, "capsule exe", { PATH: "/usr/bin:/bin" })).toEqual([]);
  }
  expect(await command(["__complete", "csh", "capsule", ""])).toMatchObject({ stdout: "", stderr: "", exitCode: 2 });
});

test("what shells ask is in no list of commands", async () => {
  const { stdout } = await command(["--help"]);
  expect(stdout).toContain("completions");
  expect(stdout).not.toContain("__complete");
});

test("another shell is refused, with those that there are", async () => {
  const outcome = await command(["completions", "csh"]);
  expect(outcome).toMatchObject({ stdout: "", exitCode: 2 });
  expect(outcome.stderr).toContain("Allowed choices are bash, zsh, fish");
});

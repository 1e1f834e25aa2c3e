// What there may be at the cursor, without a shell.

import { describe, expect, test } from "bun:test";
import { BASH } from "../../../src/command-line/bash.ts";
import { type Answer, complete } from "../../../src/command-line/complete.ts";
import { FISH } from "../../../src/command-line/fish.ts";
import { modelOf } from "../../../src/command-line/model.ts";
import { ZSH } from "../../../src/command-line/zsh.ts";
import { allCommands } from "../../../src/commands/all.ts";
import { rootCommand } from "../../../src/commands/root.ts";

const model = modelOf(rootCommand(allCommands()));
const at = (...words: string[]): Answer => complete(model, ["capsule", ...words]);
const wordsAt = (...words: string[]): string[] => at(...words).words.map(({ word }) => word);

describe("the word at the cursor is", () => {
  test.each<[what: string, words: string[], answer: Partial<Answer>]>([
    ["a command", ["ex"], { kind: "commands" }],
    ["an option of no command", ["-"], { kind: "options" }],
    ["an option", ["exec", "--mode", "auto", "-"], { kind: "options" }],
    ["a directory", ["exec", "--host", ""], { paths: "directories" }],
    ["a directory behind the option", ["exec", "--host=/"], { paths: "directories", stays: stay("--host=", "=") }],
    ["a file", ["graph", "-o", "x"], { paths: "files" }],
    ["a file, or a soname", ["symbols", ""], { paths: "files" }],
    ["text that nobody knows", ["exec", "--events", ""], { message: "<descriptor>", words: [] }],
    ["a program", ["exec", ""], { paths: "programs" }],
    ["a program of an option", ["why", "--program", ""], { paths: "programs" }],
    ["a program behind --", ["exec", "--", "--x"], { paths: "programs" }],
    ["a program's", ["exec", "--mode", "auto", "ls", "--mode", ""], { program: 4, words: [] }],
    ["a program's behind --", ["plan", "--", "--x", "-"], { program: 3 }],
    ["a library's file", ["symbols", "./li"], { paths: "files", words: [] }],
    ["a soname of a list", ["exec", "--isolate", "a=/b,c/"], { paths: "files", stays: stay("a=/b,", ",") }],
    [
      "its tree",
      ["exec", "--isolate=a=/b,c=/d"],
      { paths: "directories", stays: stay("--isolate=a=/b,c=", "=", ",", "=") },
    ],
    ["a hook's file", ["exec", "--hook", "a:b=c,d"], { paths: "files", stays: stay("a:b=", "=") }],
    ["one argument too many", ["symbols", "a", ""], { words: [], paths: undefined }],
    ["of no command that there is", ["exce", ""], { words: [], paths: undefined }],
    ["the value of an option that takes none", ["tree", "--json=x"], { words: [], paths: undefined }],
  ])("%s", (_, words, answer) => {
    const found = at(...words);
    for (const [key, value] of Object.entries(answer)) expect([key, found[key as keyof Answer]]).toEqual([key, value]);
  });
});

function stay(text: string, ...cuts: Answer["stays"]["cuts"]): Answer["stays"] {
  return { text, cuts };
}

test("help knows the commands, and the commands no help of theirs", () => {
  expect(wordsAt("")).toContain("help");
  expect(wordsAt("help", "")).toContain("exec");
  expect(wordsAt("help", "")).not.toContain("help");
  expect(wordsAt("help", "exec", "")).toEqual([]);
  expect(wordsAt("")).not.toContain("__complete");
});

describe("bash is told", () => {
  const told = (line: string, replaced: string, ...split: string[]) => BASH.answer([line, replaced, ...split], model);

  test("what is to stand where it replaces", () => {
    expect(told("capsule exec --mode=att", "att")).toEqual(["", "attached"]);
    // With no "=" among COMP_WORDBREAKS.
    expect(told("capsule exec --mode=att", "--mode=att")).toEqual(["", "--mode=attached"]);
    // As _command_offset has it.
    expect(told("capsule exec --mode=", "=")).toEqual(["", "auto", "in-process", "attached"]);
    expect(told('capsule exec --profile "gl,vul', "gl,vul")).toEqual(["", "gl,vulkan"]);
    expect(told("capsule exec --profile 'gl',vul", "'gl',vul")).toEqual(["", "gl,vulkan"]);
  });

  test("which of its own words is the program", () => {
    const split = ["capsule", "exec", "--mode", "=", "auto", "--", "ls", "--"];
    expect(told("capsule exec --mode=auto -- ls --", "--", ...split)).toEqual(["6"]);
  });
});

describe("zsh is told", () => {
  const told = (...words: string[]) => ZSH.answer(["capsule", ...words], model);

  test("what kind of thing it is, and where the word is cut off", () => {
    expect(told("exec", "--mode=")[0]).toBe("values =");
    expect(told("exec", "--profile=gl,")[0]).toBe("list = ,");
    expect(told("exec", "--glibc", "")[0]).toBe("words-or-directories");
    expect(told("exec", "--isolate", "a,b=/")).toEqual(["directories , ="]);
    expect(told("exec", "ls", "-")).toEqual(["program 2"]);
    expect(told("exec", "--events", "")).toEqual(["message", "descriptor"]);
    expect(told("nothing", "")).toEqual([""]);
  });

  test("an option whose value is behind an equals sign alone with that", () => {
    expect(told("link", "--").find((entry) => entry.startsWith("--explain"))).toStartWith("--explain=:");
  });
});

describe("fish is told", () => {
  const told = (line: string) => FISH.answer([line], model);

  test("whole words, with what they mean", () => {
    expect(told("capsule exec --mode=att")).toContain("--mode=attached\tin a process of its own");
    expect(told("capsule exec --profile gl,vul")).toContain("gl,vulkan\tVulkan");
  });

  test("the rest as it is written", () => {
    expect(told("capsule exec --host ~/a\\ b")).toEqual(["directories", "", "~/a\\ b"]);
    expect(told("capsule exec --host='/a b")).toEqual(["directories", "--host=", "'/a b"]);
    expect(told('capsule exec --host "/a b')).toEqual(["directories", "", '"/a b']);
    expect(told("capsule exec 'a b' c\\ d")).toEqual(["program", "", "'a b' c\\ d"]);
  });
});

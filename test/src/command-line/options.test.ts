// A line of `capsule exec` that is read without commander means what it means to commander.

import { expect, test } from "bun:test";
import { Command } from "commander";
import { type PlainLine, readPlainly } from "../../../src/command-line/options.ts";
import { addOptions } from "../../../src/commands/add-options.ts";
import { EXEC_OPTIONS } from "../../../src/commands/execute.ts";

/** What commander reads. Undefined where it prints something, an error or help. */
function readByCommander(words: readonly string[]): PlainLine | undefined {
  let line: PlainLine | undefined;
  const exec = addOptions(new Command("exec"), EXEC_OPTIONS)
    .argument("<program>")
    .argument("[arguments...]")
    .passThroughOptions()
    .action((program: string, list: string[], given: PlainLine["given"]) => {
      line = { given, operands: [program, ...list] };
    });
  const root = new Command("capsule").enablePositionalOptions().addCommand(exec);
  for (const command of [root, exec])
    command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
  try {
    root.parse(["exec", ...words], { from: "user" });
  } catch {
    return undefined;
  }
  return line;
}

const read = (...words: string[]): PlainLine | undefined => readPlainly(EXEC_OPTIONS, words);

test("options of every kind are read", () => {
  expect(
    read(
      ...["--host", "/tree", "--isolate", "liba.so.1,libb.so.1", "--isolate=libc.so=/other", "--hook", "a:b=c,d"],
      ...["--host=/last", "--mount-namespace", "never", "--no-settings", "--bindings", "game", "--host", "its own"],
    ),
  ).toEqual({
    given: {
      host: "/last",
      isolate: ["liba.so.1", "libb.so.1", "libc.so=/other"],
      hook: ["a:b=c,d"],
      mountNamespace: "never",
      settings: false,
      bindings: true,
    },
    operands: ["game", "--host", "its own"],
  });
});

test("what is not plain is commander's", () => {
  for (const line of [
    [],
    ["--"],
    ["--help"],
    ["-h", "game"],
    ["--hots", "/tree", "game"],
    ["--host"],
    ["--bindings=1", "game"],
  ])
    expect(read(...line)).toBeUndefined();
});

test("any line means what it means to commander, or is commander's", () => {
  const names = Object.keys(EXEC_OPTIONS).map((flags) => flags.split(" ")[0] ?? "");
  const pieces = [
    ...names,
    ...names.map((name) => `${name}=x,y`),
    "--",
    "-",
    "-x",
    "--help",
    "game",
    "/a b",
    "",
    "a,b",
    "=",
  ];
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  let plain = 0;
  for (let round = 0; round < 2000; round++) {
    const words = Array.from({ length: random(7) }, () => pieces[random(pieces.length)] ?? "");
    const line = read(...words);
    if (!line) continue;
    plain++;
    expect({ words, line }).toEqual({ words, line: readByCommander(words) as PlainLine });
  }
  expect(plain).toBeGreaterThan(300);
});

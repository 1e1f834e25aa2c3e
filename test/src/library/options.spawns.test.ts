// What scripts pass to the library's functions, and what they are told of mistakes.

import { describe, expect, test } from "bun:test";
import { exec, type LaunchOptions, openCapsule, type ProfileName, plan, spawn } from "../../../src/index.ts";
import { PROFILES } from "../../../src/profiles/profiles.ts";

/** For what the compiler refuses. */
// biome-ignore lint/suspicious/noExplicitAny: as JavaScript has it
const untyped = (value: unknown): any => value;

const thrownBy = async (action: () => unknown): Promise<unknown> => {
  try {
    await action();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("a mistake is a TypeError that names it:", () => {
  const cases: [what: string, action: () => unknown, message: string][] = [
    [
      "an option of another name",
      () => exec(["true"], untyped({ profile: ["gl"] })),
      'exec() has no option "profile": did you mean "profiles"?',
    ],
    [
      "one that every object has",
      () => spawn(["true"], untyped({ constructor: 1 })),
      'spawn() has no option "constructor": choose of host, ',
    ],
    [
      "one of another function",
      () => openCapsule(untyped({ isolate: ["libGL.so.1"] })),
      'openCapsule() has no option "isolate": choose of host, ',
    ],
    [
      "a text for an array",
      () => plan("true", untyped({ profiles: "gl" })),
      'Cannot use the option "profiles" of plan(): an array of texts is needed, not the text "gl"',
    ],
    [
      "a number in an array",
      () => openCapsule(untyped({ libraries: [1] })),
      'the option "libraries" of openCapsule(): an array of texts is needed, not an array of something else',
    ],
    [
      "a hook without its file",
      () => exec(["true"], untyped({ hooks: { "libGL.so.1": { glFinish: "./hook.so" } } })),
      'Cannot use the option "hooks" of exec(): an object of objects of { file, function }',
    ],
    [
      "a text for options",
      () => exec(["true"], untyped("gl")),
      'Cannot use the options of exec(): an object is needed, not the text "gl"',
    ],
    ["null for options", () => exec("true", [], untyped(null)), "an object is needed, not null"],
    [
      "options for arguments",
      () => exec("true", untyped({ host: "/" })),
      "Cannot use the arguments of exec(): an array of texts is needed, not an object",
    ],
    [
      "a number for an argument",
      () => exec(untyped(["sleep", 5])),
      "Cannot run what exec() was given: texts are needed, not a number",
    ],
    ["no program", () => exec([]), "Cannot run what exec() was given: the array is empty"],
    ["nothing", () => untyped(spawn)(), "Cannot run what spawn() was given: texts are needed, not undefined"],
  ];
  test.each(cases)("%s", async (_, action, message) => {
    const error = await thrownBy(action);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
  });

  test("but an option without a value is none", async () => {
    const { exitCode } = await exec("true", undefined, untyped({ host: undefined, stdout: "ignore" }));
    expect(exitCode).toBe(0);
  });
});

test("profiles are a type of capsule's own names", () => {
  const names = { gl: 1, egl: 1, vulkan: 1, video: 1, cl: 1, nvidia: 1 } satisfies Record<ProfileName, 1>;
  expect(Object.keys(names)).toEqual(Object.keys(PROFILES));
  const own: LaunchOptions["profiles"] = ["gl", "my-own"];
  expect(own).toHaveLength(2);
});

test("a program with its arguments may be one array, as for Bun.spawn", async () => {
  expect(await exec(["sh", "-c", "exit 3"])).toMatchObject({ exitCode: 3 });
  const running = spawn(["echo", "a", "b"], { stdout: "pipe" });
  expect(await running.stdout.text()).toBe("a b\n");
  await running.exited;
  expect(plan(["true", "a"], { arguments: ["b"] }).program.arguments).toEqual(["a", "b"]);
});

describe("the stack of an error has the line of its caller:", () => {
  const cases: [what: string, call: () => unknown][] = [
    ["exec", async () => void (await exec("/no/such/program"))],
    ["spawn", async () => void (await spawn(["/no/such/program"]).started)],
    ["an option", async () => void (await exec(["true"], untyped({ hots: "/" })))],
    ["plan", () => void plan("true", { host: "/no/such/tree" })],
    ["openCapsule, from deep inside", () => void openCapsule({ host: "/", libraries: [import.meta.path] })],
  ];
  test.each(cases)("%s", async (_, call) => {
    const { stack = "" } = (await thrownBy(call)) as Error;
    expect(stack).toContain(import.meta.path);
  });
});

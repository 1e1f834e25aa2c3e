// A capsule has no libc of its own: whatever libc keeps for a process, both sides share.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { HOST, hostAndProgram, pair } from "../support/pair.ts";
import { native } from "../support/run.ts";

test("memory from either side is freed by the other, on several threads", async () => {
  const memory = await pair("one-libc/memory-from-either-side-is-freed-by-the-other", hostAndProgram());
  const env = { MALLOC_PERTURB_: "165" };
  const expected = ["fresh memory is perturbed: yes", "done"];
  expectLines(await memory.native([], { env }), expected);
  expectLines(await memory.capsule([], { env }), expected);
});

test("errno set by a host library is seen by the program, for each thread", async () => {
  const errno = await pair("one-libc/errno-set-by-a-host-library-is-seen-by-the-program", hostAndProgram());
  const shown = (who: string) => [
    `${who}: set by the host: Invalid cross-device link`,
    `${who}: read by the host: Illegal seek`,
    `${who}: open: No such file or directory`,
    `${who}: close: Bad file descriptor`,
    `${who}: strtol: Numerical result out of range`,
    `${who}: own close, read by the host: Bad file descriptor`,
    `${who}: one address: yes`,
  ];
  const expected = [
    ...shown("main"),
    ...shown("thread"),
    "thread: its own: yes",
    "main: kept: Numerical argument out of domain",
  ];
  expectLines(await errno.native(), expected);
  expectLines(await errno.capsule(), expected);
});

test("setenv by one is getenv for the other, and for a child", async () => {
  const environment = await pair("one-libc/setenv-by-one-is-getenv-for-the-other", hostAndProgram());
  const env = { GIVEN: "by whoever started it" };
  const expected = [
    "given to the host's constructor: by whoever started it",
    "given: by whoever started it, by whoever started it",
    "set by the program: by the program",
    "set by the host: by the host",
    "put by the host: by the host",
    "unset by the host: nothing",
    "unset by the program: nothing",
    "one environ: yes",
    "a child has: by the program, by the host, nothing, nothing",
  ];
  expectLines(await environment.native([], { env }), expected);
  expectLines(await environment.capsule([], { env }), expected);
});

test("a pthread key made on each side keeps its own value", async () => {
  const keys = await pair("one-libc/a-pthread-key-made-on-each-side-keeps-its-own-value", hostAndProgram());
  const expected = [
    "no key was given out twice: yes",
    "main: the program's values: kept",
    "main: the host's values: kept",
    "thread: the program's values: kept",
    "thread: the host's values: kept",
    "main's values after the thread: kept",
    "destroyed with the thread: 8 of the program's, 8 of the host's",
    "a key is good on the other side: yes",
  ];
  expectLines(await keys.native(), expected);
  expectLines(await keys.capsule(), expected);
});

test("output of both sides is in order and complete when it goes into a pipe", async () => {
  const output = await pair("one-libc/output-of-both-sides-is-in-order-and-complete", hostAndProgram());
  const turns = Array.from(
    { length: 3000 },
    (_, i) => `<program ${i}><host ${i}>${String.fromCharCode(97 + (i % 26))}`,
  ).join("");
  const expected = {
    stdout: `<host, at start>${turns}<program's file><host 1><no end of line><host, at the very end>`,
    stderr: "<program, error><host, error>",
    exitCode: 0,
  };
  expect(await output.native()).toMatchObject(expected);
  expect(await output.capsule()).toMatchObject(expected);
});

test("a C++ exception crosses both ways, although each side has its own libstdc++", async () => {
  const library = `${HOST}/libstdc++.so.6`;
  const exceptions = await pair("one-libc/a-cpp-exception-crosses-both-ways", [
    { path: library, copyOf: "libstdc++.so.6" },
    ...hostAndProgram("cc"),
  ]);
  const shown = (who: string) => [
    `${who}: caught from the host: of the host`,
    `${who}: caught from the host: number 42`,
    `${who}: caught through the host: of the program`,
    `${who}: caught after the host threw it again: the program's own type`,
    `${who}: frames of the host unwound: 2`,
    `${who}: the host caught: std::exception of the program`,
    `${who}: the host caught: number 7`,
    `${who}: the host caught: std::exception std::bad_alloc`,
    `${who}: the host caught: something else`,
  ];
  const expected = [...shown("main"), ...shown("thread")];
  expectLines(await exceptions.native(), expected);
  expectLines(await exceptions.capsule(), expected);
  expect(existsSync(join(exceptions.out, library))).toBe(true);
  const { stdout: needed } = await native("readelf", ["-dW", join(exceptions.out, HOST, "libhost.so.1")]);
  expect(needed).toContain("libstdc++.so.6");
});

// The machine code that asks nobody: getenv, start, cleanup and finish, run in a process of their own.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Address, toAddress } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitCleanup, emitFinish, emitGetenv, emitStart } from "../../../src/agent/code.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { BASE, Caller } from "./caller.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const caller = new Caller(scratch);

const encoder = new TextEncoder();

/** Data in front of the code, at addresses that are known already. */
class Block {
  readonly assembler = new Assembler();

  get #here(): Address {
    return toAddress(BASE + this.assembler.align(8).length);
  }

  text(text: string): Address {
    const here = this.#here;
    this.assembler.data(encoder.encode(`${text}\0`));
    return here;
  }

  words(...words: number[]): Address {
    const here = this.#here;
    for (const word of words) this.assembler.quad(word);
    return here;
  }
}

describe("getenv", () => {
  function withTable(...table: (readonly [name: string, value: string])[]): Code {
    const block = new Block();
    const words = table.flatMap(([name, value]) => [block.text(name), block.text(value)]);
    const variables = block.words(...words, 0);
    emitGetenv(block.assembler.align(16), "getenv", caller.addressOf("given_getenv"), variables);
    emitGetenv(block.assembler.align(16), "secure_getenv", caller.addressOf("given_nothing"), variables);
    return block.assembler.assemble();
  }
  const get = (code: Code, names: string[], env: Record<string, string> = {}, label = "getenv") =>
    caller.run(code, "getenv", label, names, env);

  const drivers = withTable(["LIBGL_DRIVERS_PATH", "/host/dri"], ["GBM", ""], ["GBM_BACKENDS_PATH", "/host/gbm"]);

  test("the user's own variable wins, also where it is empty", async () => {
    const env = { LIBGL_DRIVERS_PATH: "/mine", GBM_BACKENDS_PATH: "" };
    expect(await get(drivers, ["LIBGL_DRIVERS_PATH", "GBM_BACKENDS_PATH"], env)).toEqual([
      "LIBGL_DRIVERS_PATH /mine",
      "GBM_BACKENDS_PATH ",
    ]);
  });

  test("the table has what the user has not set, first and last and empty values", async () => {
    expect(await get(drivers, ["LIBGL_DRIVERS_PATH", "GBM_BACKENDS_PATH", "GBM"])).toEqual([
      "LIBGL_DRIVERS_PATH /host/dri",
      "GBM_BACKENDS_PATH /host/gbm",
      "GBM ",
    ]);
  });

  test("what neither has is NULL, also if it is longer or shorter than a name in the table", async () => {
    const names = ["GB", "GBM_", "GBM_BACKENDS_PATH2", "LIBGL_DRIVERS_PATh", "XIBGL_DRIVERS_PATH", "", "Ä"];
    expect(await get(drivers, names)).toEqual(names.map((name) => `${name} NULL`));
  });

  test("of two entries with one name the first counts", async () => {
    expect(await get(withTable(["A", "1"], ["A", "2"]), ["A"])).toEqual(["A 1"]);
  });

  test("an empty table adds nothing", async () => {
    expect(await get(withTable(), ["A", "B"], { B: "b" })).toEqual(["A NULL", "B b"]);
  });

  test("a table of hundreds is searched to its end", async () => {
    const table = Array.from({ length: 500 }, (_, i) => [`NAME_${i}`, `value ${i}`] as const);
    expect(await get(withTable(...table), ["NAME_0", "NAME_499", "NAME_500"])).toEqual([
      "NAME_0 value 0",
      "NAME_499 value 499",
      "NAME_500 NULL",
    ]);
  });

  test("each copy asks its own function: secure_getenv does not see what it is not to see", async () => {
    const env = { GBM_BACKENDS_PATH: "/mine", OTHER: "set" };
    expect(await get(drivers, ["GBM_BACKENDS_PATH", "OTHER"], env, "secure_getenv")).toEqual([
      "GBM_BACKENDS_PATH /host/gbm",
      "OTHER NULL",
    ]);
  });
});

describe("start", () => {
  test("calls main with arguments and today's environment, and exit with what it returns", async () => {
    const block = new Block();
    const argv = block.words(block.text("game"), block.text("-x"), 0);
    const values = block.words(2, argv, caller.addressOf("given_environment"));
    emitStart(block.assembler.align(16), { arguments: values, exit: caller.addressOf("given_exit") });
    expect(await caller.run(block.assembler.assemble(), "start", "start")).toEqual([
      "main 2 game -x NULL, environment LATER=1",
      "exit 7",
    ]);
  });
});

describe("cleanup", () => {
  let count = 0;

  function prepare(files: readonly string[], capsules: readonly number[] = []) {
    const directory = scratch.path(`private-${count++}`);
    mkdirSync(directory);
    const block = new Block();
    const list = block.words(...files.map((name) => block.text(join(directory, name))), 0);
    const namespaces = block.words(...capsules, 0);
    emitCleanup(block.assembler.align(16), { pid: 0, directory, files: list, capsules: namespaces });
    const code = block.assembler.assemble();
    return {
      directory,
      code,
      run: (command: "exit" | "forked exit") => caller.run(code, command, "cleanup", [pidIn(code)]),
    };
  }
  const pidIn = (code: Code): string => `${code.labels.get("pid")}`;
  const touch = (directory: string, name: string) =>
    scratch.write(join(directory, name).slice(scratch.path("").length), "");

  test("removes the files and then the directory", async () => {
    const { directory, run } = prepare(["a", "never written", "b", "link"]);
    touch(directory, "a");
    touch(directory, "b");
    symlinkSync("/nowhere", join(directory, "link"));
    await run("exit");
    expect(existsSync(directory)).toBe(false);
  });

  test("leaves a directory alone in which there is something else", async () => {
    const { directory, run } = prepare(["a"]);
    touch(directory, "a");
    touch(directory, "the user's");
    await run("exit");
    expect(existsSync(join(directory, "a"))).toBe(false);
    expect(existsSync(join(directory, "the user's"))).toBe(true);
  });

  test("removes an empty directory", async () => {
    const { directory, run } = prepare([]);
    await run("exit");
    expect(existsSync(directory)).toBe(false);
  });

  test("does not remove anything in a forked child, which has another process's files", async () => {
    const { directory, run } = prepare(["a"]);
    touch(directory, "a");
    await run("forked exit");
    expect(existsSync(join(directory, "a"))).toBe(true);
  });

  test("has ld.so see no object in each namespace that it knows of, and in no other", async () => {
    const counts = caller.addressOf("given_counts");
    const { run } = prepare([], [counts, 1, counts + 8, 1]);
    expect(await run("exit")).toEqual(["counts 0 2 0 4"]);
  });

  test("does so in a forked child too, whose own memory it is", async () => {
    const counts = caller.addressOf("given_counts");
    const { code } = prepare([], [counts, 1]);
    expect(await caller.run(code, "forked exit", "cleanup", [pidIn(code)])).toEqual(["counts 1 2 3 4"]);
  });
});

describe("finish", () => {
  const LOAD_BIAS = 0x20_0000;
  const [DT_NULL, DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ] = [0, 13, 26, 28];

  interface FinishedObject {
    readonly array?: readonly string[];
    readonly fini?: string;
    /** Bytes; by default that of `array`. */
    readonly size?: number;
  }
  const function_ = (name: string) => caller.addressOf(`given_${name}`);

  /** Namespaces with objects in load order, as ld.so would have them. */
  function finishing(...namespaces: FinishedObject[][]): Code {
    const block = new Block();
    const capsules = namespaces.flatMap((objects, number) => {
      const dynamics = objects.map(({ array, fini, size }) => {
        const entries = [];
        if (array) {
          const at = block.words(...array.map(function_));
          entries.push(DT_FINI_ARRAY, at - LOAD_BIAS, DT_FINI_ARRAYSZ, size ?? 8 * array.length);
        }
        if (fini) entries.push(DT_FINI, function_(fini) - LOAD_BIAS);
        return block.words(1, 1, ...entries, DT_NULL, 0);
      });
      // l_addr, l_name, l_ld, l_next, l_prev: forty bytes each
      const first = block.words();
      dynamics.forEach((dynamic, i) => {
        const next = i + 1 < dynamics.length ? first + 40 * (i + 1) : 0;
        block.words(LOAD_BIAS, 0, dynamic, next, i === 0 ? 0 : first + 40 * (i - 1));
      });
      return [caller.addressOf("given_counts") + 4 * number, first];
    });
    const list = block.words(...capsules, 0, 0);
    emitCleanup(block.assembler.align(16), { pid: 0, directory: "/nowhere", files: list, capsules: list });
    emitFinish(block.assembler.align(16));
    return block.assembler.assemble();
  }
  const finish = async (...namespaces: FinishedObject[][]) =>
    (await caller.run(finishing(...namespaces), "call", "finish")).slice(0, -1);

  test("runs the last object's destructors first, its array backwards, then its DT_FINI", async () => {
    const objects = [{ array: ["red"] }, { fini: "white", array: ["green", "blue", "red"] }, {}, { fini: "green" }];
    expect(await finish(objects)).toEqual(["green", "red", "blue", "green", "white", "red"]);
  });

  test("goes through the namespaces one after the other", async () => {
    expect(await finish([{ fini: "red" }], [{ fini: "green" }, { fini: "blue" }])).toEqual(["red", "blue", "green"]);
  });

  test("has nothing to do where there is no capsule, or nothing in it", async () => {
    expect(await finish()).toEqual([]);
    expect(await finish([{}, { array: [] }])).toEqual([]);
  });
});

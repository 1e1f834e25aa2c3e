// The machine code that asks nobody: getenv, start and cleanup, run in a process of their own.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Address, toAddress } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitCleanup } from "../../../src/agent/code/cleanup.ts";
import { emitGetenv } from "../../../src/agent/code/getenv.ts";
import { emitStart } from "../../../src/agent/code/start.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { BASE, Caller } from "./caller.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const caller = new Caller(scratch);

const encoder = new TextEncoder();

/** Data in front of the code, at addresses that are known already. */
class Block {
  constructor(readonly assembler = new Assembler()) {}

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
    caller.run(code, "getenv", label, names, { env });

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
  test("calls main with arguments, today's environment and a fresh floating-point state, and exit with what it returns", async () => {
    const block = new Block();
    const argv = block.words(block.text("game"), block.text("-x"), 0);
    const values = block.words(2, argv, caller.addressOf("given_environment"));
    emitStart(block.assembler.align(16), values, caller.addressOf("given_exit"), caller.addressOf("given_errno"));
    expect(await caller.run(block.assembler.assemble(), "start", "start")).toEqual([
      "main 2 game -x NULL, environment LATER=1",
      "exit 7",
    ]);
  });
});

/** What a test says of an object: its destructors, by their names in caller.c. */
interface FinishedObject {
  readonly array?: readonly string[];
  readonly fini?: string;
}

/** Objects as ld.so has them, in load order: link_maps in the first page of given_memory, all else behind it. */
class Objects {
  static readonly #LOAD_BIAS = 0x20_0000;
  static readonly #PAGE = 4096;
  /** How many bytes `data` has. */
  readonly size: number;
  readonly #maps: Address[];
  readonly data = new Assembler();

  constructor(objects: readonly FinishedObject[], order: readonly number[] | undefined) {
    const memory = caller.addressOf("given_memory");
    const [DT_NULL, DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ] = [0, 13, 26, 28];
    this.#maps = objects.map((_, i) => toAddress(memory + 40 * i));
    const behind: number[] = [];
    const place = (words: readonly number[]): number => {
      behind.push(...words);
      return memory + Objects.#PAGE + 8 * (behind.length - words.length);
    };
    const dynamics = objects.map(({ array, fini }) => {
      const functions = array?.map((name) => caller.addressOf(`given_${name}`));
      const entries = functions
        ? [DT_FINI_ARRAY, place(functions) - Objects.#LOAD_BIAS, DT_FINI_ARRAYSZ, 8 * functions.length]
        : [];
      if (fini) entries.push(DT_FINI, caller.addressOf(`given_${fini}`) - Objects.#LOAD_BIAS);
      return place([1, 1, ...entries, DT_NULL, 0]);
    });
    dynamics.forEach((dynamic, i) => {
      for (const word of [Objects.#LOAD_BIAS, 0, dynamic, this.#maps[i + 1] ?? 0, this.#maps[i - 1] ?? 0])
        this.data.quad(word);
    });
    this.order = toAddress(place([...(order ?? []).map((index) => this.mapOf(index)), 0]));
    this.data.align(Objects.#PAGE);
    for (const word of behind) this.data.quad(word);
    this.size = this.data.length;
    // Its pages become writable, and so cannot be executed any more: the code has others.
    this.data.align(Objects.#PAGE);
  }

  readonly order: Address;

  mapOf(index: number): Address {
    const map = this.#maps[index];
    if (map === undefined) throw new Error(`There is no object ${index}`);
    return map;
  }
}

describe("cleanup", () => {
  let count = 0;

  function prepare(files: readonly string[], objects = new Objects([], undefined)) {
    const directory = scratch.path(`private-${count++}`);
    mkdirSync(directory);
    const block = new Block(objects.data);
    const list = block.words(...files.map((name) => block.text(join(directory, name))), 0);
    emitCleanup(block.assembler.align(16), { pid: 0, directory, files: list, order: objects.order });
    const code = block.assembler.assemble();
    const args = [`${code.labels.get("pid")}`, `${objects.size}`];
    return {
      directory,
      /** Which of the objects ld.so comes to afterwards. */
      run: (command: "exit" | "forked exit", ...again: number[]) =>
        caller.run(code, command, "cleanup", [...args, ...again.map((index) => `${objects.mapOf(index)}`)]),
      touch: (name: string) => writeFileSync(join(directory, name), ""),
    };
  }

  test("removes the files and then the directory", async () => {
    const { directory, touch, run } = prepare(["a", "never written", "b", "link"]);
    touch("a");
    touch("b");
    symlinkSync("/nowhere", join(directory, "link"));
    await run("exit");
    expect(existsSync(directory)).toBe(false);
  });

  test("leaves a directory alone in which there is something else", async () => {
    const { directory, touch, run } = prepare(["a"]);
    touch("a");
    touch("the user's");
    await run("exit");
    expect(readdirSync(directory)).toEqual(["the user's"]);
  });

  test("removes an empty directory", async () => {
    const { directory, run } = prepare([]);
    await run("exit");
    expect(existsSync(directory)).toBe(false);
  });

  test("does not remove anything in a forked child, which has another process's files", async () => {
    const { directory, touch, run } = prepare(["a"]);
    touch("a");
    await run("forked exit");
    expect(readdirSync(directory)).toEqual(["a"]);
  });

  test("runs an object's destructors backwards, then its DT_FINI, and leaves none of them to ld.so", async () => {
    const objects = new Objects([{}, { array: ["red", "green", "blue"], fini: "white" }], [0, 1]);
    expect(await prepare([], objects).run("exit", 0, 1)).toEqual(["blue", "green", "red", "white", "ld.so"]);
  });

  test("runs what has only an array, only a function, or neither", async () => {
    const objects = new Objects([{}, { array: ["red"] }, { fini: "white" }, { array: [] }, {}], [4, 1, 2, 3, 0]);
    expect(await prepare([], objects).run("exit", 0, 1, 2, 3, 4)).toEqual(["red", "white", "ld.so"]);
  });

  test("runs those of the list in its order, and not those that are on neither side of it", async () => {
    const objects = new Objects([{ fini: "red" }, { fini: "green" }, { fini: "blue" }, {}], [3, 2, 0]);
    expect(await prepare([], objects).run("exit", 0, 1, 2)).toEqual(["blue", "red", "ld.so", "green"]);
  });

  test("runs those of objects that came later first, the last one before all others", async () => {
    const objects = new Objects([{ fini: "red" }, {}, { array: ["green"] }, { fini: "blue" }], [1, 0]);
    expect(await prepare([], objects).run("exit", 3, 2, 1, 0)).toEqual(["blue", "green", "red", "ld.so"]);
  });

  test("goes on where a destructor has closed the library that would have been next", async () => {
    const objects = new Objects(
      [{ fini: "red" }, {}, { fini: "green" }, { fini: "closing" }, { fini: "blue" }],
      [1, 0],
    );
    expect(await prepare([], objects).run("exit", 3, 4)).toEqual(["blue", "closing", "red", "ld.so"]);
  });

  test("goes on where a destructor has closed a library that came after it", async () => {
    const objects = new Objects([{ fini: "closing" }, {}, { fini: "green" }], [1, 0]);
    expect(await prepare([], objects).run("exit", 0)).toEqual(["green", "closing", "ld.so"]);
  });

  test("leaves all destructors to ld.so where the program was never loaded", async () => {
    const objects = new Objects([{ fini: "red" }, { array: ["green"] }], undefined);
    expect(await prepare([], objects).run("exit", 1, 0)).toEqual(["ld.so", "green", "red"]);
  });

  test("runs destructors in a forked child too, which exits as well", async () => {
    const objects = new Objects([{}, { fini: "red" }], [0, 1]);
    expect(await prepare([], objects).run("forked exit")).toEqual(["red"]);
  });
});

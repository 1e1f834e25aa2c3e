// The machine code that asks nobody: getenv, start and cleanup, run in a process of their own.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Address, toAddress } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitCleanup } from "../../../src/agent/code/cleanup.ts";
import { ENDING_WORDS, emitDestructors, endingWords } from "../../../src/agent/code/destructors.ts";
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

/** Objects as ld.so has them, in load order, in front of the code and at given_memory; behind them what `ending` says. */
class Objects {
  static readonly #SIZE = 40;
  readonly #memory = caller.addressOf("given_memory");
  readonly ending: Address;
  /** In bytes. */
  readonly size: number;

  constructor(
    readonly block: Block,
    readonly names: readonly string[],
    { front = [], hidden, isKnown = true }: { front?: readonly string[]; hidden?: string; isKnown?: boolean },
  ) {
    const texts = new Assembler();
    const fields = {
      ...(isKnown ? { finalizer: caller.addressOf("given_finalizer") } : {}),
      ...{ first: caller.addressOf("given_first"), count: caller.addressOf("given_count") },
      ...{ lock: caller.addressOf("given_mutex"), ...(hidden === undefined ? {} : { hidden: this.#mapOf(hidden) }) },
    };
    const words =
      endingWords(
        fields,
        front.map((name) => this.#mapOf(name)),
      ) ?? [];
    const textsAt = this.#memory + names.length * Objects.#SIZE + 8 * words.length;
    names.forEach((name, i) => {
      const [next, previous] = [names[i + 1], names[i - 1]].map((near) => (near ? this.#mapOf(near) : 0));
      block.words(0, textsAt + texts.length, 0, next ?? 0, previous ?? 0);
      texts.data(encoder.encode(`${name}\0`));
    });
    this.ending = toAddress(this.#memory + names.length * Objects.#SIZE);
    block.words(...words);
    block.assembler.data(texts.assemble().bytes);
    this.size = block.assembler.length;
  }

  #mapOf(name: string): Address {
    return toAddress(this.#memory + this.names.indexOf(name) * Objects.#SIZE);
  }
}

const exitTargets = (ending: Address) => ({
  ...{ ending, lock: caller.addressOf("given_locking"), unlock: caller.addressOf("given_unlocking") },
});

describe("the private directory at the end", () => {
  let count = 0;

  function prepare(files: readonly string[], isKnown = false) {
    const directory = scratch.path(`private-${count++}`);
    mkdirSync(directory);
    const block = new Block();
    const { ending, size } = new Objects(block, ["program"], { isKnown });
    const list = block.words(...files.map((name) => block.text(join(directory, name))), 0);
    const targets = { pid: 0, directory, files: list, closeAll: caller.addressOf("given_close_all") };
    emitCleanup(block.assembler.align(16), { ...targets, ...exitTargets(ending) });
    const code = block.assembler.assemble();
    return {
      directory,
      run: (command: "exit" | "forked exit") =>
        caller.run(code, command, "end", [`${code.labels.get("pid")}`, `${size}`, "0", "1"]),
      touch: (name: string) => writeFileSync(join(directory, name), ""),
    };
  }

  test("goes, after the files in it", async () => {
    const { directory, touch, run } = prepare(["a", "never written", "b", "link"]);
    touch("a");
    touch("b");
    symlinkSync("/nowhere", join(directory, "link"));
    await run("exit");
    expect(existsSync(directory)).toBe(false);
  });

  test("stays where there is something else in it", async () => {
    const { directory, touch, run } = prepare(["a"]);
    touch("a");
    touch("the user's");
    await run("exit");
    expect(readdirSync(directory)).toEqual(["the user's"]);
  });

  test("goes where it is empty", async () => {
    const { directory, run } = prepare([]);
    await run("exit");
    expect(existsSync(directory)).toBe(false);
  });

  test("stays where a forked child exits, since it is another process's", async () => {
    const { directory, touch, run } = prepare(["a"]);
    touch("a");
    await run("forked exit");
    expect(readdirSync(directory)).toEqual(["a"]);
  });

  test("is the last thing: stdio is closed, and the process ends, before Bun's own handlers", async () => {
    expect(await prepare([], true).run("exit")).toEqual(["all closed"]);
    // Nobody has run destructors then.
    expect(await prepare([], false).run("exit")).toEqual(["ld.so: 3 namespaces,  program"]);
  });
});

describe("destructors", () => {
  /** ld.so's list when it is made, when the first destructor has run, and afterwards. */
  async function finished(
    names: readonly string[],
    options: ConstructorParameters<typeof Objects>[2] & { isOursThere?: boolean; times?: number },
  ): Promise<string[]> {
    const block = new Block();
    const { ending, size } = new Objects(block, names, options);
    emitDestructors(block.assembler.align(16), exitTargets(ending));
    const pid = block.words(0) - BASE;
    const code = block.assembler.assemble();
    const ours = options.isOursThere === false ? 0 : (code.labels.get("show all") ?? 0);
    return caller.run(code, "exit", "finish base", [pid, size, ours, options.times ?? 1].map(String));
  }

  test("are ld.so's to run, which sees one namespace, with ours in front, until it has made its list", async () => {
    expect(await finished(["program", "library", "ours", "plugin"], { front: ["ours"] })).toEqual([
      "listed, locked: 1 namespaces,  ours program library plugin",
      "finished: 3 namespaces,  program library ours plugin",
      "ld.so: 3 namespaces,  program library ours plugin",
    ]);
  });

  test("come in the order of objects as the kernel would have started the program, which is not Bun", async () => {
    const names = ["Bun", "preloaded", "libc", "other", "ours", "program", "library", "plugin"];
    expect(await finished(names, { front: ["ours", "program", "preloaded", "other"], hidden: "Bun" })).toEqual([
      "listed, locked: 1 namespaces,  ours program preloaded other libc library plugin",
      `finished: 3 namespaces,  ${names.join(" ")}`,
      `ld.so: 3 namespaces,  ${names.join(" ")}`,
    ]);
  });

  test("also where ours is the first or the last object", async () => {
    for (const names of [
      ["ours", "program", "library"],
      ["program", "library", "ours"],
    ]) {
      const [listed, ...after] = await finished(names, { front: ["ours"] });
      expect(listed).toBe("listed, locked: 1 namespaces,  ours program library");
      expect(after).toEqual(["finished", "ld.so"].map((when) => `${when}: 3 namespaces,  ${names.join(" ")}`));
    }
  });

  test("are run once, and all is as it was where ld.so does not come to ours", async () => {
    const options = { front: ["ours"], isOursThere: false, times: 2 };
    expect(await finished(["program", "ours"], options)).toEqual([
      "listed, locked: 1 namespaces,  ours program",
      "ld.so: 3 namespaces,  program ours",
    ]);
  });

  test("are left to ld.so where that was not understood", async () => {
    expect(await finished(["program", "ours"], { front: ["ours"], isKnown: false })).toEqual([
      "ld.so: 3 namespaces,  program ours",
    ]);
  });

  test("of too many objects at the front are left to ld.so", () => {
    expect(endingWords({}, new Array<number>(64).fill(1))?.length).toBe(ENDING_WORDS);
    expect(endingWords({}, new Array<number>(65).fill(1))).toBeUndefined();
  });
});

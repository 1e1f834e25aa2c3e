// `capsule graph`: what is in the picture, what is left out of it, and that Graphviz can draw it.

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { LinkedTrees } from "../../support/linked-trees.ts";
import { COMMAND, command, type Outcome, run } from "../../support/run.ts";

const trees = new LinkedTrees();
afterAll(() => trees[Symbol.dispose]());

const host = trees.path("host");
const runtime = trees.path("runtime");
const SIDES = ["--host", host, "--runtime", runtime, "--isolate", "libdoor.so.1"];

trees.library("runtime/usr/lib/libown.so.1", { needs: ["libdoor.so.1", "libboth.so.1"] });
trees.library("runtime/usr/lib/libboth.so.1.1.0", { needs: ["libc.so.6"] });
trees.library("runtime/usr/lib/libdoor.so.1.0.9");
trees.library("host/usr/lib/libdoor.so.1.2.0", { needs: ["libboth.so.1", "libloop.so.1", "libc.so.6"] });
trees.library("host/usr/lib/libboth.so.1.3.0");
trees.library("host/usr/lib/libloop.so.1", { needs: ["libdoor.so.1", "libboth.so.1"] });
const game = trees.program("bin/game", { needs: ["libown.so.1", "libboth.so.1"] });

const graph = (args: string[]): Promise<Outcome> => command(["graph", ...args]);

interface Drawn {
  readonly name: string;
  readonly label?: string;
  readonly color?: string;
  readonly fillcolor?: string;
  readonly nodes?: number[];
}

interface Picture {
  /** Labels of figures; lines are separated by |. */
  readonly labels: string[];
  /** "from -> to", by label. */
  readonly edges: string[];
  readonly boxes: Drawn[];
  figure(label: string): Drawn | undefined;
}

/** The source, as Graphviz itself understands it. */
async function picture(args: string[]): Promise<Picture> {
  const { stdout, stderr } = await graph([...args, "--dot"]);
  expect(stderr).toBe("");
  const { instance } = await import("@viz-js/viz");
  const { objects, edges = [] } = (await instance()).renderJSON(stdout) as {
    objects: Drawn[];
    edges?: { tail: number; head: number }[];
  };
  const labelOf = (one: Drawn | undefined) => (one?.label ?? "").replace(/\\[nl]/g, "|").replace(/\|$/, "");
  return {
    labels: objects.filter(({ nodes }) => !nodes).map(labelOf),
    edges: edges.map(({ tail, head }) => `${labelOf(objects[tail])} -> ${labelOf(objects[head])}`).sort(),
    boxes: objects.filter(({ nodes }) => nodes),
    figure: (label) => objects.find((one) => labelOf(one) === label),
  };
}

describe("the picture", () => {
  test("has a box a namespace, with doors between them", async () => {
    const { boxes, labels, edges } = await picture([...SIDES, game]);
    expect(boxes.map(({ label }) => label)).toEqual([`the program's side: ${runtime}`, `capsule: ${host}`]);
    expect(labels).toContain("libdoor.so.1|shim");
    expect(labels).toContain("mirrors of glibc, libgcc_s");
    expect(edges).toContain("libdoor.so.1|shim -> libdoor.so.1|1.2.0, not 0.9".replace("0.9", "1.0.9"));
    expect(edges).toContainEqual(expect.stringMatching(/^glibc 2\.\d+, libgcc_s -> mirrors of glibc, libgcc_s$/));
  });

  test("leaves out who is needed by way of another one, also in a circle", async () => {
    const { edges } = await picture([...SIDES, game]);
    expect(edges).toContain("game -> libown.so.1");
    expect(edges).not.toContain("game -> libboth.so.1|1.1.0");
    expect(edges).toContain("libloop.so.1 -> libdoor.so.1|1.2.0, not 1.0.9");
    expect(edges).toContain("libloop.so.1 -> libboth.so.1|1.3.0");
    expect(edges).not.toContain("libdoor.so.1|1.2.0, not 1.0.9 -> libboth.so.1|1.3.0");
  });

  test("shows sonames that clash in one colour on both sides", async () => {
    const { figure } = await picture([...SIDES, game]);
    const [one, other] = [figure("libboth.so.1|1.1.0"), figure("libboth.so.1|1.3.0")];
    expect(one?.fillcolor).toBeDefined();
    expect(one?.fillcolor).toBe(other?.fillcolor);
    expect(one?.fillcolor).not.toBe(figure("libown.so.1")?.fillcolor);
  });

  test("shows as one what has the same neighbours", async () => {
    const many = ["libone.so.1", "libtwo.so.1", "libthree.so.1"];
    for (const soname of many) trees.library(`runtime/usr/lib/${soname}`);
    const { labels, edges } = await picture([...SIDES, trees.program("bin/plain", { needs: many })]);
    expect(labels).toContain(many.join("|"));
    expect(edges).toContain(`plain -> ${many.join("|")}`);
    expect(labels).toContain("nothing, unless the program opens it");
  });

  test("counts what is of no interest among many, which --all shows", async () => {
    // Each has one of its own below it, so that no two look the same.
    const many = Array.from({ length: 25 }, (_, i) => `libmany${i}.so.1`);
    for (const [i, soname] of many.entries()) {
      trees.library(`runtime/usr/lib/libleaf${i}.so.1`);
      trees.library(`runtime/usr/lib/${soname}`, { needs: [`libleaf${i}.so.1`] });
    }
    const crowd = trees.program("bin/crowd", { needs: [...many, "libown.so.1"] });
    const short = await picture([...SIDES, crowd]);
    expect(short.boxes[0]?.label).toBe(`the program's side: ${runtime}, and 50 more libraries`);
    expect(short.labels).toContain("libboth.so.1|1.1.0");
    expect(short.labels).not.toContain("libmany0.so.1");
    expect((await picture([...SIDES, "--all", crowd])).labels).toContain("libmany0.so.1");
  });

  test("shows what is missing", async () => {
    const lacks = trees.program("bin/lacks", { needs: ["libgone.so.1"] });
    expect((await picture([...SIDES, lacks])).labels).toContain("libgone.so.1: not found");
    expect((await graph([...SIDES, lacks])).exitCode).toBe(127);
  });

  test("has names as they are, whatever they mean to Graphviz or to a browser", async () => {
    const odd = 'lib"<b>\\N&amp;\n\x1b.so.1';
    trees.library("runtime/usr/lib/libodd.so.1", { soname: "libodd.so.1" });
    const program = trees.program("bin/odd", { needs: [odd] });
    const { stdout } = await graph([...SIDES, program]);
    expect(stdout).toContain("lib&quot;&lt;b&gt;\\N&amp;amp;\\x0a\\x1b.so.1: not found</text>");
    expect(stdout).not.toContain("\x1b");
  });
});

describe("what is printed", () => {
  test("is SVG, on standard output or in a file", async () => {
    const { stdout, stderr, exitCode } = await graph([...SIDES, game]);
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout).toStartWith("<?xml");
    expect(stdout).toEndWith("</svg>\n");
    const file = trees.path("picture.svg");
    expect(await graph([...SIDES, "-o", file, game])).toMatchObject({ stdout: "", stderr: "", exitCode: 0 });
    expect(readFileSync(file, "utf8")).toBe(stdout);
  });

  test("is nothing where something fails", async () => {
    const cases: [string[], string, number][] = [
      [["./none"], 'Cannot find "./none"', 127],
      [["-o", "/nowhere/picture.svg", ...SIDES, game], "/nowhere/picture.svg", 125],
      [[], "missing required argument 'program'", 2],
    ];
    for (const [args, message, code] of cases) {
      const { stdout, stderr, exitCode } = await graph(args);
      expect([stdout, exitCode]).toEqual(["", code]);
      expect(stderr).toContain(message);
      expect(stderr).not.toMatch(/^ +at /m);
    }
  });
});

test("on a terminal it says that it wants a file, and draws its source there", async () => {
  const onTerminal = (words: string) => {
    const line = [...COMMAND, ...`graph ${words} ${game}`.split(/ +/)].join(" ");
    return run(["script", "--quiet", "--return", "--command", `stty cols 45; ${line}`, "/dev/null"]);
  };
  const { stdout, exitCode } = await onTerminal("");
  expect([stdout.replaceAll(/\s+/g, " "), exitCode]).toEqual([
    expect.stringContaining("a file is needed (-o FILE.svg)"),
    2,
  ]);
  expect(stdout.split("\r\n").filter((line) => line.length > 45)).toEqual([]);
  expect((await onTerminal("--dot")).stdout).toContain("digraph");
});

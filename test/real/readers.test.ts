// Our reader of ELF files beside two others, on all that is installed on this machine and in the trees of other
// releases: binutils' readelf, which goes by section headers, and the npm package elfinfo.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { openImage } from "../../lib/elf/file.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { Subject } from "../../src/commands/dump/subject.ts";
import { linesOf } from "../../src/commands/dump.ts";
import { relocationsOf, wholeOf } from "../lib/elf/readelf.ts";
import { run } from "../lib/elf/scratch.ts";
import { DIRECTORIES, filesIn } from "../support/ld-so.ts";
import { asElfinfo, asReadelf, byElfinfo, relocationsAsReadelf } from "../support/readers.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(300_000);

const LEAST = 300;
/**
 * In bytes, for what takes long: elfinfo reads symbols one by one and looks for names among all strings (libLLVM: 22
 * s), readelf's relocations would be 500 MB of text.
 */
const LARGEST = 256 << 10;

const suites = ["bullseye", "bookworm", "trixie"] as const;
const trees = ["/", ...(await Promise.all(suites.map((suite) => tree(suite))))].map((root) => new Tree(root));
const files = trees.flatMap((tree) => filesIn(tree, DIRECTORIES)).filter(isProgramOrLibrary);
const dynamic = files.filter((path) => !isStatic(path));
const small = dynamic.filter((path) => statSync(path).size <= LARGEST);
const compared = new Map<string, number>();

afterAll(() => {
  const counts = [...compared].map(([reader, count]) => `${count} with ${reader}`);
  console.log(
    `Of ${files.length} programs and libraries, ${dynamic.length} of them dynamic, compared: ${counts.join(", ")}`,
  );
});

test("what our reader takes for static has no dynamic section for readelf either", () => {
  const refused = files.filter(isStatic).map((path) => run(["readelf", "-W", "-l", path]));
  expect(refused.filter((text) => /^ +DYNAMIC /m.test(text))).toEqual([]);
});

test("capsule dump shows all of each, and finds no fault", () => {
  for (const path of files) {
    using subject = new Subject(path);
    const odd = [...linesOf(subject)].find((line) => / (0x)?(undefined|NaN|Infinity|\?)( |$)/m.test(line));
    expect({ path, faults: subject.faults, odd }).toEqual({ path, faults: [], odd: undefined });
  }
  expect(files.length).toBeGreaterThanOrEqual(LEAST);
});

test("readelf sees the same headers, segments, sections, dynamic entries, symbols and versions", () => {
  for (const path of dynamic) {
    using image = openImage(path);
    expectSame(path, asReadelf(image), wholeOf(path));
    count("readelf");
  }
  expect(compared.get("readelf")).toBeGreaterThanOrEqual(LEAST);
});

test("readelf sees the same relocations in small files", () => {
  for (const path of small) {
    using image = openImage(path);
    expectSame(path, relocationsAsReadelf(image), relocationsOf(path));
    count("readelf's relocations");
  }
  expect(compared.get("readelf's relocations")).toBeGreaterThanOrEqual(LEAST);
});

test("elfinfo sees the same headers, segments, sections, symbols and relocations in small files", async () => {
  for (const path of small) {
    using image = openImage(path);
    expectSame(path, asElfinfo(image), await byElfinfo(path));
    count("elfinfo");
  }
  expect(compared.get("elfinfo")).toBeGreaterThanOrEqual(LEAST);
});

function count(reader: string): void {
  compared.set(reader, (compared.get(reader) ?? 0) + 1);
}

/** Part by part: a difference among 60,000 symbols is shown alone. */
function expectSame<Parts extends object>(path: string, ours: Parts, theirs: Parts): void {
  for (const part of Object.keys(theirs) as (keyof Parts & string)[]) {
    const [one, other] = [ours[part], theirs[part]];
    if (Bun.deepEquals(one, other, true)) continue;
    if (!Array.isArray(one) || !Array.isArray(other))
      expect({ path, part, value: one }).toEqual({ path, part, value: other });
    else {
      const at = Array.from({ length: Math.max(one.length, other.length) }, (_, i) => i).find(
        (i) => !Bun.deepEquals(one[i], other[i], true),
      );
      expect({ path, part, at, value: one[at ?? 0] }).toEqual({ path, part, at, value: other[at ?? 0] });
    }
  }
}

/** By its first bytes: an ELF64 file for x86-64 of type ET_EXEC or ET_DYN. */
function isProgramOrLibrary(path: string): boolean {
  const descriptor = unlessRefused(() => openSync(path, "r"));
  if (descriptor === undefined) return false;
  const head = Buffer.alloc(20);
  readSync(descriptor, head);
  closeSync(descriptor);
  const [type, machine] = [head.readUInt16LE(16), head.readUInt16LE(18)];
  return head.toString("latin1", 0, 6) === "\x7fELF\x02\x01" && (type === 2 || type === 3) && machine === 62;
}

/** Any other fault that our reader finds is one of the test. */
function isStatic(path: string): boolean {
  try {
    openImage(path)[Symbol.dispose]();
    return false;
  } catch (error) {
    if (error instanceof ElfError && error.fault.includes("statically linked")) return true;
    throw error;
  }
}

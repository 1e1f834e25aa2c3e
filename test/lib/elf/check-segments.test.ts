// What ld.so reads of program headers themselves, and where they may lead. That ld.so dies of these is tested in
// killers.spawns.test.ts.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../lib/elf/check.ts";
import * as elf from "../../../lib/elf/constants.ts";
import { ElfError } from "../../../lib/elf/error.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { alignUp, PAGE_SIZE, toVaddr } from "../../../lib/memory/numbers.ts";
import { text, word } from "./bytes.ts";
import { Scratch } from "./scratch.ts";
import { smallImage } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const { bytes: SOUND, at } = smallImage();
const FAR = 0x7fff_ffff_f000;
const BIAS_OF_DATA = 0x1000;
const DATA = at("data") + BIAS_OF_DATA;
const LAST_PAGE_END = alignUp(toVaddr(at("end") + BIAS_OF_DATA), PAGE_SIZE);

type Change = (bytes: Uint8Array) => void;
type Header = Partial<Record<"type" | "flags" | "vaddr" | "filesz" | "memsz" | "align", number>>;

/** Changes one of the headers: two segments, the dynamic section, notes. */
const header =
  (index: number, fields: Header): Change =>
  (bytes) => {
    const phdr = Phdr.at(new DataView(bytes.buffer), at("phdrs") + index * Phdr.size);
    for (const [name, value] of Object.entries(fields)) Object.assign(phdr, { [`p_${name}`]: value });
  };
const [TEXT, WRITABLE, DYNAMIC, NOTE] = [0, 1, 2, 3];

/** The first note, of 4 bytes of name and 8 of content. */
const note =
  (type: number, length = 8, name = "GNU"): Change =>
  (bytes) =>
    bytes.set([...word(4), ...word(length), ...word(type), ...text(name)], at("note"));

function faultOf(...changes: Change[]): string {
  const bytes = SOUND.slice();
  for (const change of changes) change(bytes);
  const path = scratch.write("changed.so", bytes);
  try {
    checkFile(path, "tables");
    return "sound";
  } catch (error) {
    if (error instanceof ElfError) return `${error.structure}: ${error.fault}`;
    throw error;
  }
}

type Case = readonly [words: string, expected: string, ...changes: Change[]];

describe("notes", () => {
  const away = (vaddr: number) => `notes: the one at vaddr 0x${vaddr.toString(16)} is in no segment that may be read`;
  const PROPERTY = elf.NT_GNU_PROPERTY_TYPE_0;
  const content = at("note") + 16;
  test.each<Case>([
    ["have to be in a segment", away(FAR), header(NOTE, { vaddr: FAR })],
    ["may be anywhere if ld.so does not look: by their alignment", "sound", header(NOTE, { vaddr: FAR, align: 4 })],
    ["may be anywhere if there is none", "sound", header(NOTE, { vaddr: FAR, memsz: 12 })],
    ["may be anywhere but with a byte of one", away(FAR), header(NOTE, { vaddr: FAR, memsz: 13 })],
    [
      "are read whole, with their names",
      away(LAST_PAGE_END - 15),
      header(NOTE, { vaddr: LAST_PAGE_END - 15, memsz: 15 }),
    ],
    ["are limited", "notes: they are longer than 1048576 bytes", header(NOTE, { memsz: FAR }), note(1, 2 ** 20)],
    ["of properties are read, with their content", away(content), note(PROPERTY, 2 ** 20)],
    ["of other types are passed over", "sound", note(1, 2 ** 20)],
    ["of other names are passed over", "sound", note(PROPERTY, 2 ** 20, "GNV")],
    ["of properties are refused by ld.so in other sizes", "sound", note(PROPERTY, 2 ** 20 + 4)],
    [
      "of properties have a header of their own",
      away(content),
      header(NOTE, { type: elf.PT_GNU_PROPERTY }),
      note(PROPERTY, 2 ** 20),
    ],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

describe("segments", () => {
  test.each<Case>([
    ["may end at the limit of addresses", "sound", header(WRITABLE, { memsz: 2 ** 47 - DATA - 1 })],
    ["may not go beyond", "PT_LOAD: it reaches beyond the address space", header(WRITABLE, { memsz: 2 ** 47 - DATA })],
    ["may have odd alignments", "sound", header(WRITABLE, { align: 2 ** 47 - 1 })],
    [
      "may not be aligned to all there is",
      "PT_LOAD: p_align is larger than the address space",
      header(WRITABLE, { align: 2 ** 47 }),
    ],
    [
      "are where their offset is in its page",
      "PT_LOAD: p_vaddr and p_offset are not congruent",
      header(WRITABLE, { vaddr: DATA + 8 }),
    ],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));

  test("have the dynamic section in one that may be written to, if that is", () => {
    const readOnly = header(WRITABLE, { flags: elf.PF_R });
    expect(faultOf(readOnly)).toBe("PT_DYNAMIC: it is to be written to, and its segment may not be");
    expect(faultOf(readOnly, header(DYNAMIC, { flags: elf.PF_R }))).not.toStartWith("PT_DYNAMIC");
  });
});

describe("thread-local data", () => {
  const tls = (fields: Header) => header(NOTE, { type: elf.PT_TLS, ...fields });
  test.each<Case>([
    ["is in a segment", "sound", tls({})],
    ["is in no other place", "PT_TLS: it is in no segment", tls({ vaddr: FAR })],
    ["is not at 0", "PT_TLS: it is at vaddr 0", tls({ vaddr: 0 })],
    ["is anywhere without content", "sound", tls({ vaddr: 0, filesz: 0 })],
    ["is readable", "PT_TLS: it is in a segment that may not be read", tls({}), header(TEXT, { flags: elf.PF_X })],
    ["has no more content than size", "PT_TLS: p_filesz is larger than p_memsz", tls({ filesz: 24, memsz: 23 })],
    ["is of any kind if it has no size", "sound", tls({ vaddr: 0, memsz: 0 })],
    ["is aligned within reason", "PT_TLS: p_align is larger than the address space", tls({ align: 2 ** 47 })],
    ["is of a size within reason", "PT_TLS: p_memsz is larger than the address space", tls({ memsz: 2 ** 47 })],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

describe("what becomes read-only", () => {
  const relro = (vaddr: number, memsz: number) => header(NOTE, { type: elf.PT_GNU_RELRO, vaddr, memsz });
  const OUTSIDE = "PT_GNU_RELRO: its pages are not in the image";
  test.each<Case>([
    ["is in the image", "sound", relro(0x1000, 0x1000)],
    ["begins in it", OUTSIDE, relro(FAR, 0x1000)],
    ["ends in it", OUTSIDE, relro(0x1000, 0x2000)],
    ["is anywhere if it has no page", "sound", relro(FAR, 0xfff)],
    ["is anywhere if it has no size", "sound", relro(FAR, 0)],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

describe("program headers", () => {
  const phdr = (vaddr: number) => header(NOTE, { type: elf.PT_PHDR, vaddr });
  const AWAY = "program headers: they are in no segment that may be read";
  test.each<Case>([
    ["are where they say", "sound", phdr(at("phdrs"))],
    ["are in a segment", AWAY, phdr(FAR)],
    ["are where the file has them, if they say 0", "sound", phdr(0)],
    ["are whole in it", AWAY, phdr(LAST_PAGE_END - 4 * Phdr.size + 8)],
    ["are readable", AWAY, header(NOTE, { memsz: 0 }), header(TEXT, { flags: elf.PF_X })],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

// The dynamic section: names of the tags, and readable values.

import { DT_NULL } from "../../../lib/elf/constants.ts";
import { FLAGS, FLAGS_1, flagsOf, type Names, nameOf, TAGS } from "../../../lib/elf/names.ts";
import type { Quantity } from "../../../lib/elf/record.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, count, digits, type Part } from "./part.ts";
import type { Subject } from "./subject.ts";

/** Tags whose value is not a vaddr, by what the value is. */
const STRINGS = new Set(
  ["NEEDED", "SONAME", "RPATH", "RUNPATH", "AUXILIARY", "FILTER", "CONFIG", "DEPAUDIT", "AUDIT"].map((n) => `DT_${n}`),
);
const NUMBERS = /^DT_(\w*COUNT|\w*NUM)$/;
const SIZES = /^DT_(\w*SZ|\w*ENT)$/;
const FLAG_TAGS: Readonly<Record<string, Names>> = { DT_FLAGS: FLAGS, DT_FLAGS_1: FLAGS_1 };

interface Entry {
  readonly tag: string;
  readonly value: Quantity;
  /** For DT_NEEDED and similar tags. Null if it cannot be read. */
  readonly string?: string | null;
  /** For DT_FLAGS and DT_FLAGS_1. */
  readonly flags?: readonly string[];
}

function dataOf(subject: Subject): Entry[] | undefined {
  const { image, entries } = subject;
  if (!image) return undefined;
  return entries.map(({ tag: number, value }) => {
    const tag = typeof number === "number" ? nameOf(TAGS, number) : number;
    const flags = FLAG_TAGS[tag];
    if (flags && typeof value === "number") return { tag, value, flags: flagsOf(flags, value) };
    if (!STRINGS.has(tag)) return { tag, value };
    const offset = typeof value === "number" ? value : Number.POSITIVE_INFINITY;
    return { tag, value, string: subject.attempt(() => image.strings.at(offset)) ?? null };
  });
}

function meaningOf({ tag, value, string, flags }: Entry): string {
  if (string !== undefined) return string === null ? `at ${digits(value)} of the string table: ?` : printable(string);
  if (flags) return `${digits(value)}  ${flags.join(" ")}`.trimEnd();
  if (tag === "DT_PLTREL" && typeof value === "number") return nameOf(TAGS, value);
  if (NUMBERS.test(tag)) return `${value}`;
  return SIZES.test(tag) ? `${value} bytes` : digits(value);
}

function* lines(subject: Subject): Generator<string> {
  const entries = dataOf(subject);
  if (!entries) {
    yield `Dynamic section: ${subject.absence}`;
    return;
  }
  yield `Dynamic section: ${count(entries.length, "entry", "entries")} before ${nameOf(TAGS, DT_NULL)}`;
  yield* columns(entries.map((entry) => [entry.tag, meaningOf(entry)]));
}

export const dynamic: Part = { summary: "the dynamic section", data: dataOf, text: lines };

// Where blocks of static TLS lie: expectations are glibc 2.36's, as fixtures show them (link.test.ts).

import { expect, test } from "bun:test";
import { layOutTls } from "../../../lib/link/tls.ts";

const segment = (p_memsz: number, p_align: number, p_vaddr = 0) => ({ p_vaddr, p_memsz, p_align });

test("blocks lie below the thread pointer, each aligned", () => {
  const { offsets, size, alignment } = layOutTls([segment(4, 4), segment(8, 8), segment(100, 32)]);
  expect(offsets).toEqual([4, 16, 128]);
  expect([size, alignment]).toEqual([128, 32]);
});

test("a block that fits into the gap below an earlier one goes there", () => {
  const { offsets, size } = layOutTls([segment(4, 4), segment(257, 256), segment(20, 16), segment(300, 4)]);
  expect(offsets).toEqual([4, 512, 32, 812]);
  expect(size).toBe(812);
});

test("a block begins as far behind a multiple of its alignment as its p_vaddr does", () => {
  const { offsets } = layOutTls([segment(64, 64, 0x1010), segment(16, 64, 0x2030)]);
  expect(offsets.map((offset) => -offset & 63)).toEqual([0x10, 0x30]);
});

test("nothing takes nothing", () => {
  expect(layOutTls([])).toEqual({ offsets: [], size: 0, alignment: 1 });
});

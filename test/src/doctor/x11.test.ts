// As much of X11 as it takes to knock.

import { describe, expect, test } from "bun:test";
import { answerOf, keyFor, localDisplay, setupRequest } from "../../../src/doctor/x11.ts";

describe("a display", () => {
  test("of this machine has a number, and perhaps a path", () => {
    expect(localDisplay(":0")).toEqual({ number: "0", path: undefined });
    expect(localDisplay(":12.1")).toEqual({ number: "12", path: undefined });
    expect(localDisplay("unix:1")).toEqual({ number: "1", path: undefined });
    expect(localDisplay("/tmp/launch/org.x:0")).toEqual({ number: "0", path: "/tmp/launch/org.x:0" });
  });
  test("of another, or of none, has not", () => {
    for (const name of ["localhost:10.0", "host:0", "", "0", ":", ":x"]) expect(localDisplay(name)).toBeUndefined();
  });
});

describe("a key", () => {
  const field = (text: string | Buffer) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  };
  const entry = (family: number, host: string, number: string, name: string, data: string) =>
    Buffer.concat([Buffer.from([family >> 8, family & 255]), ...[host, number, name, data].map((text) => field(text))]);
  const COOKIE = "MIT-MAGIC-COOKIE-1";
  const file = Buffer.concat([
    entry(256, "other", "0", COOKIE, "of another"),
    entry(256, "here", "1", COOKIE, "of another number"),
    entry(256, "here", "0", "XDM-AUTHORIZATION-1", "of another kind"),
    entry(256, "here", "0", COOKIE, "mine"),
    entry(65535, "", "", COOKIE, "anybody's"),
  ]);
  const textOf = (key: Uint8Array | undefined) => key && Buffer.from(key).toString();

  test("is found by host, number and kind", () => {
    expect(textOf(keyFor(file, "here", "0"))).toBe("mine");
    expect(textOf(keyFor(file, "elsewhere", "7"))).toBe("anybody's");
    expect(keyFor(new Uint8Array(0), "here", "0")).toBeUndefined();
  });
  test("is not made up from a file that is cut off, or no such file", () => {
    for (let size = 0; size < file.length; size++) keyFor(file.subarray(0, size), "elsewhere", "7");
    expect(keyFor(file.subarray(0, -1), "elsewhere", "7")).toBeUndefined();
    expect(keyFor(Buffer.alloc(1000, 0xff), "here", "0")).toBeUndefined();
  });
});

test("a request has the sizes that the protocol asks for", () => {
  expect(setupRequest(undefined)).toHaveLength(12);
  const request = setupRequest(new Uint8Array(16));
  expect(request).toHaveLength(12 + 20 + 16);
  expect([...request.slice(0, 12)]).toEqual([0x6c, 0, 11, 0, 0, 0, 18, 0, 16, 0, 0, 0]);
});

test("an answer lets in, or says why not", () => {
  expect(answerOf(Uint8Array.of(1, 0, 11))).toEqual({ isOpen: true });
  const refusal = Buffer.concat([Buffer.from([0, 5, 11, 0, 0, 0, 2, 0]), Buffer.from("No!\n\0xxx")]);
  expect(answerOf(refusal)).toMatchObject({ isOpen: false, reason: expect.stringContaining("No!") });
  expect(answerOf(Uint8Array.of(2))).toMatchObject({ isOpen: false });
  expect(answerOf(new Uint8Array(0))).toEqual({ isOpen: false, reason: "it hangs up" });
});

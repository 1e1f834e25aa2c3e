// Does the EGL of the host's graphics stack have what our game needs? Tested in this very
// process, whatever libraries the machine that runs the tests has itself.
//
//   CAPSULE_PREFIX=/run/host bun test examples/tests

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Capsule, openCapsule } from "capsule";

const EGL_VERSION = 0x3054;
const EGL_EXTENSIONS = 0x3055;

let capsule: Capsule;
let queryString: (display: null, name: number) => unknown;

beforeAll(() => {
  capsule = openCapsule({ libraries: ["libEGL.so.1"] });
  const { symbols } = capsule.dlopen("libEGL.so.1", { eglQueryString: { args: ["ptr", "i32"], returns: "cstring" } });
  queryString = symbols.eglQueryString;
});

afterAll(() => void capsule.close());

test("it is EGL 1.5", () => {
  expect(`${queryString(null, EGL_VERSION)}`).toStartWith("1.5");
});

test("it can be used without a window", () => {
  expect(`${queryString(null, EGL_EXTENSIONS)}`.split(" ")).toContain("EGL_EXT_platform_base");
});

test("all of it comes from the host tree", () => {
  for (const { path } of capsule.objects) expect(path).toStartWith(capsule.host);
  const [first] = capsule.answers;
  expect(first).toMatchObject({ name: "libEGL.so.1", role: "opened" });
});

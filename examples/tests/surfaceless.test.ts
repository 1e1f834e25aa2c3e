// Does the Mesa of a release draw what we want? Without a display and a graphics card: EGL on no surface, OpenGL ES into a
// buffer, and one pixel of that read back.
//
//   CAPSULE_PREFIX=/srv/trees/debian-11 bun test examples/tests/surfaceless.test.ts

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Capsule, openCapsule } from "capsule";

const EGL = {
  eglGetPlatformDisplay: { args: ["i32", "ptr", "ptr"], returns: "ptr" },
  eglInitialize: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  eglBindAPI: { args: ["u32"], returns: "i32" },
  eglChooseConfig: { args: ["ptr", "ptr", "ptr", "i32", "ptr"], returns: "i32" },
  eglCreateContext: { args: ["ptr", "usize", "ptr", "ptr"], returns: "ptr" },
  eglMakeCurrent: { args: ["ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  eglTerminate: { args: ["ptr"], returns: "i32" },
} as const;
const GL = {
  glGetString: { args: ["u32"], returns: "cstring" },
  glGenTextures: { args: ["i32", "ptr"], returns: "void" },
  glBindTexture: { args: ["u32", "u32"], returns: "void" },
  glTexImage2D: { args: ["u32", "i32", "i32", "i32", "i32", "i32", "u32", "u32", "ptr"], returns: "void" },
  glGenFramebuffers: { args: ["i32", "ptr"], returns: "void" },
  glBindFramebuffer: { args: ["u32", "u32"], returns: "void" },
  glFramebufferTexture2D: { args: ["u32", "u32", "u32", "u32", "i32"], returns: "void" },
  glClearColor: { args: ["f32", "f32", "f32", "f32"], returns: "void" },
  glClear: { args: ["u32"], returns: "void" },
  glReadPixels: { args: ["i32", "i32", "i32", "i32", "u32", "u32", "ptr"], returns: "void" },
  glGetError: { args: [], returns: "u32" },
} as const;

const EGL_PLATFORM_SURFACELESS_MESA = 0x31dd;
const EGL_OPENGL_ES_API = 0x30a0;
const [EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_SURFACE_TYPE, EGL_NONE] = [0x3040, 4, 0x3033, 0x3038];
const EGL_CONTEXT_CLIENT_VERSION = 0x3098;
const [GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D] = [0x8d40, 0x8ce0, 0x0de1];
const [GL_RGBA, GL_UNSIGNED_BYTE, GL_COLOR_BUFFER_BIT, GL_VERSION] = [0x1908, 0x1401, 0x4000, 0x1f02];
const SIZE = 16;
/** LLVM is large. */
const START_LIMIT_MS = 60_000;

const open = (host: Capsule) => ({
  egl: host.dlopen("libEGL.so.1", EGL).symbols,
  gl: host.dlopen("libGLESv2.so.2", GL).symbols,
});

let capsule: Capsule;
let display: ReturnType<ReturnType<typeof open>["egl"]["eglGetPlatformDisplay"]>;
let { egl, gl } = {} as ReturnType<typeof open>;

beforeAll(() => {
  process.env.LIBGL_ALWAYS_SOFTWARE = "1";
  capsule = openCapsule({ libraries: ["libEGL.so.1", "libGLESv2.so.2"] });
  ({ egl, gl } = open(capsule));
  display = egl.eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA, null, null);
  expect(egl.eglInitialize(display, null, null)).toBe(1);
  expect(egl.eglBindAPI(EGL_OPENGL_ES_API)).toBe(1);
  const config = new BigUint64Array(1);
  const count = new Int32Array(1);
  const wanted = new Int32Array([EGL_SURFACE_TYPE, 0, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_NONE]);
  expect(egl.eglChooseConfig(display, wanted, config, 1, count)).toBe(1);
  expect(count[0]).toBe(1);
  const version = new Int32Array([EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE]);
  const context = egl.eglCreateContext(display, config[0] ?? 0n, null, version);
  expect(context).not.toBeNull();
  expect(egl.eglMakeCurrent(display, null, null, context)).toBe(1);
}, START_LIMIT_MS);

afterAll(() => {
  egl.eglTerminate(display);
  capsule.close();
});

test("it is the host tree's Mesa", () => {
  const version = `${gl.glGetString(GL_VERSION)}`;
  console.log(`${capsule.host}: ${version}`);
  expect(version).toContain(`Mesa ${process.env.MESA ?? ""}`);
});

test("a pixel has the colour that it was given", () => {
  const [texture, framebuffer] = [new Uint32Array(1), new Uint32Array(1)];
  gl.glGenTextures(1, texture);
  gl.glBindTexture(GL_TEXTURE_2D, Number(texture[0]));
  gl.glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, SIZE, SIZE, 0, GL_RGBA, GL_UNSIGNED_BYTE, null);
  gl.glGenFramebuffers(1, framebuffer);
  gl.glBindFramebuffer(GL_FRAMEBUFFER, Number(framebuffer[0]));
  gl.glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, Number(texture[0]), 0);
  gl.glClearColor(1, 0.2, 0.4, 1);
  gl.glClear(GL_COLOR_BUFFER_BIT);
  const pixel = new Uint8Array(4);
  gl.glReadPixels(SIZE / 2, SIZE / 2, 1, 1, GL_RGBA, GL_UNSIGNED_BYTE, pixel);
  expect(gl.glGetError()).toBe(0);
  expect([...pixel]).toEqual([255, 51, 102, 255]);
});

// Variables that are in the way.

import { expect, test } from "bun:test";
import { environmentFindings } from "../../../src/doctor/environment.ts";
import { complaints } from "./levels.ts";

const look = (variables: Record<string, string>, glibc = [2, 36]) =>
  complaints(environmentFindings({ variables, glibc, isolated: new Set(["libGL.so.1"]) }));

test("an ordinary environment is in nobody's way", () => {
  expect(look({ PATH: "/usr/bin", LD_PRELOAD: "", VK_ICD_FILENAMES: "", LIBGL_ALWAYS_SOFTWARE: "0" })).toEqual([]);
});

test("whoever tells drivers where to look takes the host tree's from them", () => {
  const names = ["LIBGL_DRIVERS_PATH", "VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"];
  for (const name of names) expect(look({ [name]: "/opt/x" })).toEqual([`warning ${name}`]);
});

test("whoever asks for the processor gets it, and is told", () => {
  expect(look({ LIBGL_ALWAYS_SOFTWARE: "1" })).toEqual(["warning LIBGL_ALWAYS_SOFTWARE"]);
  expect(look({ LIBGL_ALWAYS_INDIRECT: "true" })).toEqual(["warning LIBGL_ALWAYS_INDIRECT"]);
});

test("LD_AUDIT is a crash on glibc 2.31, and a warning on others", () => {
  expect(look({ LD_AUDIT: "/opt/audit.so" }, [2, 31])).toEqual(["hindrance LD_AUDIT"]);
  expect(look({ LD_AUDIT: "/opt/audit.so" })).toEqual(["warning LD_AUDIT"]);
});

test("LD_PRELOAD may have overlays, and not isolated libraries or what is not there", () => {
  expect(look({ LD_PRELOAD: "libMangoHud.so:/bin/true /usr/$LIB/libgamemodeauto.so.0" })).toEqual([]);
  expect(look({ LD_PRELOAD: "/opt/game/libGL.so.1" })).toEqual(["warning LD_PRELOAD"]);
  expect(look({ LD_PRELOAD: "/no/such/overlay.so" })).toEqual(["warning LD_PRELOAD"]);
});

// The drivers of a host tree, which its libraries open at run time. They are found by file name (glvnd's vendors,
// Mesa's directories) or through manifests, JSON files that give a library's path. A missing driver shows only while a
// program runs, if at all: the program then falls back to software rendering.

import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { inShares } from "../../lib/tree/layout.ts";
import type { Search, Tried } from "../../lib/tree/search.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import { PROFILES } from "../profiles/profiles.ts";
import { type Complaint, type Finding, fine, hindrance, warning } from "./finding.ts";
import { MachineFiles } from "./machine-files.ts";

/** Findings and paths for drivers of one kind. */
interface Found {
  readonly findings: readonly Finding[];
  readonly libraries: readonly string[];
}

const NOTHING: Found = { findings: [], libraries: [] };

interface Drivers {
  readonly findings: readonly Finding[];
  /** Sets of drivers: at least one driver of each must be intact, or nothing draws. */
  readonly alternatives: readonly (readonly string[])[];
  /** Drivers that only some machines or programs use. */
  readonly others: readonly string[];
}

/** For these profiles. `asked` has the ones that the user named. */
export function driverFindings(search: Search, profiles: readonly string[], asked: ReadonlySet<string>): Drivers {
  const look = (profile: string, drivers: (search: Search, make: Complaint) => Found) =>
    profiles.includes(profile) ? drivers(search, asked.has(profile) ? hindrance : warning) : NOTHING;
  const [gl, egl, platforms] = [look("gl", glVendors), look("egl", eglVendors), look("egl", eglPlatforms)];
  const [vulkan, cl] = [look("vulkan", vulkanDrivers), look("cl", clDrivers)];
  const mesa = profiles.includes("gl") || profiles.includes("egl") ? mesaDrivers(search) : NOTHING;
  return {
    findings: [gl, egl, platforms, vulkan, cl, mesa].flatMap(({ findings }) => findings),
    alternatives: [gl, egl, mesa].map(({ libraries }) => libraries).filter((list) => list.length > 0),
    others: [...platforms.libraries, ...vulkan.libraries, ...cl.libraries],
  };
}

/** libGLX.so.0 opens libGLX_VENDOR.so.0, where VENDOR is a name that the X server gives. */
function glVendors(search: Search, make: Complaint): Found {
  if (!search.find("libGLX.so.0", undefined)) return NOTHING;
  const names = namesIn(search.directories, /^libGLX_\w+\.so\.0$/);
  const libraries = names.flatMap((name) => search.find(name, undefined)?.path ?? []);
  const none = make(
    "glvnd",
    `${search.tree.name} has libGLX.so.0, and no driver for it (libGLX_mesa.so.0, libGLX_nvidia.so.0)`,
    "install libglx-mesa0, or NVIDIA's driver, in the host tree",
  );
  const vendors = names.map((name) => /_(\w+)\.so/.exec(name)?.[1]).join(", ");
  return { findings: [libraries.length > 0 ? fine("glvnd", `OpenGL's drivers for X11: ${vendors}`) : none], libraries };
}

/** The paths that a profile gives a variable. */
function pathsOf(profile: string, variable: string): readonly string[] {
  const found = PROFILES[profile]?.environment.find(({ name }) => name === variable);
  return found && "paths" in found ? found.paths : [];
}

function eglVendors(search: Search, make: Complaint): Found {
  const none = make(
    "egl-vendor",
    `${search.tree.name} has no manifest of an EGL driver that can be used`,
    "install libegl-mesa0, or NVIDIA's driver, in the host tree: it brings /usr/share/glvnd/egl_vendor.d/*.json",
  );
  // Without glvnd, and in releases before it, libEGL itself is the driver.
  const hasVendors = namesIn(search.directories, /^libEGL_\w+\.so\.0$/).length > 0;
  const paths = pathsOf("egl", "__EGL_VENDOR_LIBRARY_DIRS");
  return readManifests("egl-vendor", "EGL", search, paths, hasVendors ? none : undefined);
}

const eglPlatforms = (search: Search): Found =>
  readManifests("egl-platform", "EGL's window systems", search, pathsOf("egl", "__EGL_EXTERNAL_PLATFORM_CONFIG_DIRS"));

function vulkanDrivers(search: Search, make: Complaint): Found {
  if (!search.find("libvulkan.so.1", undefined)) return NOTHING;
  const none = make(
    "vulkan-driver",
    `${search.tree.name} has libvulkan.so.1, and no manifest of a driver that can be used`,
    "install mesa-vulkan-drivers, or NVIDIA's driver, in the host tree: it brings /usr/share/vulkan/icd.d/*.json",
  );
  return readManifests("vulkan-driver", "Vulkan", search, pathsOf("vulkan", "VK_DRIVER_FILES"), none);
}

function clDrivers(search: Search, make: Complaint): Found {
  if (!search.find("libOpenCL.so.1", undefined)) return NOTHING;
  const none = make(
    "cl-driver",
    `${search.tree.name} has libOpenCL.so.1, and names no driver for it that can be used`,
    "install mesa-opencl-icd, pocl-opencl-icd or NVIDIA's driver in the host tree: it brings /etc/OpenCL/vendors/*.icd",
  );
  // The loader reads only one directory.
  const paths = pathsOf("cl", "OCL_ICD_VENDORS").filter((path) => resolved(search, path) !== undefined);
  return readManifests("cl-driver", "OpenCL", search, paths.slice(0, 1), none, ICD);
}

/** A format of files that name a library. */
interface ManifestFormat {
  readonly ending: string;
  libraryIn(text: string): string | { readonly fault: string };
}

/** glvnd, Vulkan's loader and EGL's platforms use it. */
const JSON_MANIFEST: ManifestFormat = {
  ending: ".json",
  libraryIn(text) {
    const data = unless([SyntaxError], () => JSON.parse(text) as { ICD?: { library_path?: unknown } } | null);
    if (data === undefined) return { fault: "is not JSON" };
    const name = data?.ICD?.library_path;
    return typeof name === "string" && name !== "" ? name : { fault: "names no library (ICD.library_path)" };
  },
};
const ICD: ManifestFormat = {
  ending: ".icd",
  libraryIn: (text) => text.split("\n", 1)[0]?.trim() || { fault: "names no library in its first line" },
};

/** Reads all manifests in directories of the tree, and finds the libraries that they name. `none` is told without one. */
function readManifests(
  check: string,
  what: string,
  search: Search,
  directories: readonly string[],
  none?: Finding,
  format = JSON_MANIFEST,
): Found {
  const findings: Finding[] = [];
  const names: string[] = [];
  const libraries: string[] = [];
  const all = directories.flatMap((directory) => inShares(directory, search.layout));
  const real = [...new Set(all.flatMap((directory) => resolved(search, directory) ?? []))];
  for (const name of namesIn(real, new RegExp(`\\${format.ending}$`), true)) {
    const path = resolved(search, search.tree.inside(name));
    const manifest = libraryOf(path, search, format);
    if ("fault" in manifest) findings.push(warning(check, `${what}: "${name}" ${manifest.fault}`, REPAIR));
    else if (manifest.path !== undefined) {
      libraries.push(manifest.path);
      names.push(basename(name).slice(0, -format.ending.length));
    }
  }
  if (names.length > 0) findings.unshift(fine(check, `${what}'s drivers: ${names.join(", ")}`));
  else if (none) findings.push(none);
  return { findings, libraries };
}

const REPAIR = "install the driver anew in the host tree, or remove that file";

/** A manifest's library (undefined if it is not for this machine, such as a 32-bit one), or what is wrong. */
function libraryOf(
  path: string | undefined,
  search: Search,
  format: ManifestFormat,
): { path: string | undefined } | { fault: string } {
  const text = path === undefined ? undefined : new MachineFiles().text(path);
  if (path === undefined || text === undefined) return { fault: "cannot be read, or is a link that leads to nothing" };
  const name = format.libraryIn(text);
  if (typeof name !== "string") return name;
  const isRelative = name.includes("/") && !name.startsWith("/");
  const tried: Tried = [];
  const wanted = isRelative ? join(dirname(search.tree.inside(path)), name) : name;
  const found = search.find(wanted, undefined, tried);
  if (found) return { path: found.path };
  if (tried.some(({ fault }) => fault === "for another class or machine")) return { path: undefined };
  return { fault: `names "${name}", which ${search.tree.name} does not have` };
}

/** Mesa's libraries open files in directories that were compiled into them. */
function mesaDrivers(search: Search): Found {
  const hasMesa = ["libGLX_mesa.so.0", "libEGL_mesa.so.0", "libgbm.so.1"].some((name) => search.find(name, undefined));
  if (!hasMesa) return NOTHING;
  const directories = directoriesOf(search, "gl", "LIBGL_DRIVERS_PATH");
  // Since Mesa 24.2 drivers are links to one library, which later releases open directly.
  const paths = [
    ...namesIn(directories, /_dri\.so$/, true),
    ...namesIn(search.directories, /^libgallium-.*\.so$/, true),
  ];
  const dead = [
    ...deadLinks(search, "dri", directories),
    ...deadLinks(search, "gbm", directoriesOf(search, "egl", "GBM_BACKENDS_PATH")),
  ];
  const none = hindrance(
    "dri",
    `${search.tree.name} has Mesa's libraries, and none of Mesa's drivers (dri/*_dri.so), not even for the processor`,
    "install libgl1-mesa-dri in the host tree",
  );
  const names = new Set(paths.map((path) => basename(path).replace(/(_dri)?\.so$/, "")));
  const some = fine("dri", `Mesa's drivers: ${[...names].join(", ")}`);
  return { findings: names.size > 0 ? [some, ...dead] : [...dead, none], libraries: differentFiles(search, paths) };
}

/** Many drivers are one file under several names. */
function differentFiles(search: Search, paths: readonly string[]): string[] {
  const files = new Map<string, string>();
  for (const path of paths) {
    const real = resolved(search, search.tree.inside(path));
    const stat = real === undefined ? undefined : unlessRefused(() => statSync(real));
    if (real !== undefined && stat?.isFile()) files.set(`${stat.dev}:${stat.ino}`, real);
  }
  return [...files.values()];
}

/** The directories that a profile sets a variable to, as paths on this machine. */
export function directoriesOf(search: Search, profile: string, variable: string): string[] {
  const paths = pathsOf(profile, variable).flatMap((path) =>
    search.places.map((directory) => path.replace("$LIBDIR", directory)),
  );
  return [...new Set(paths.flatMap((path) => resolved(search, path) ?? []))];
}

function deadLinks(search: Search, check: string, directories: readonly string[]): Finding[] {
  return namesIn(directories, /\.so$/, true)
    .filter((path) => resolved(search, search.tree.inside(path)) === undefined)
    .map((path) =>
      warning(check, `"${path}" is a link that leads to nothing`, "install its driver anew in the host tree"),
    );
}

/** Undefined also if links loop or point outside the tree. */
const resolved = (search: Search, path: string): string | undefined =>
  unless([LinkError, SystemFault], () => search.tree.resolve(path));

/** Names in directories of this machine that match, each once. With `asPaths`, the path of every match. */
export function namesIn(directories: readonly string[], pattern: RegExp, asPaths = false): string[] {
  const found = directories.flatMap((directory) =>
    (unlessRefused(() => readdirSync(directory)) ?? [])
      .filter((name) => pattern.test(name))
      .map((name) => (asPaths ? `${directory}/${name}` : name)),
  );
  return [...new Set(found)].sort();
}

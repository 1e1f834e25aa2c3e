// Which libraries belong together on the host's side, and which variables its drivers need. Data only: a profile for
// other libraries is one more entry.
//
// Libraries whose objects cross the border come along: one library makes a Display and its connection, another uses
// them, so libX11, libxcb and libXext (and Wayland's client side) must be one copy for program and driver.

/** A variable that the host's libraries read. */
export type Variable =
  | PathVariable
  | CacheVariable
  | { readonly name: string; readonly kind: "value"; readonly value: string };

/** Names a directory for data kept between runs: each host tree has its own. */
export interface CacheVariable {
  readonly name: string;
  readonly kind: "cache";
  /** Paths or sonames of those that read the variable: it is set for trees that have one of them. */
  readonly users: readonly string[];
  /** As PathVariable's. */
  readonly unless?: readonly string[];
}

/** A variable that points into the host tree. */
interface PathVariable {
  readonly name: string;
  /**
   * `directories`: those of `paths` that the tree has. `manifests`: the .json files in them. `first`: the first of
   * `paths` that the tree has.
   */
  readonly kind: "directories" | "manifests" | "first";
  /** Paths in the tree; they may begin with LIBDIR. */
  readonly paths: readonly string[];
  /** Equivalent variables: if the user has set one of them, this one is not set. */
  readonly unless?: readonly string[];
}

export interface Profile {
  readonly summary: string;
  /** Sonames. Those that the host tree does not have are left to the runtime. */
  readonly isolate: readonly string[];
  /** As `isolate`, but if the runtime's copy is newer, it serves both sides. */
  readonly newest: readonly string[];
  readonly environment: readonly Variable[];
}

/**
 * Libraries that use each other's internals, or exchange objects that only they understand: in one process they come
 * from one tree.
 */
export interface Family {
  /** Sonames; no library is in two families. */
  readonly libraries: readonly string[];
  /** They call each other's private functions, so another tree's copy cannot replace a missing one. */
  readonly isPrivate: boolean;
  /** Families whose objects cross the border with it: they are isolated with it, from whatever tree. */
  readonly brings: readonly string[];
}

/**
 * Where distributions without /usr/lib have drivers, each with a lib and a share: NixOS, and Guix, whose systems have
 * everything there.
 */
export const DRIVER_PLACES = ["/run/opengl-driver", "/run/current-system/profile", "/run/current-system/sw"];

/** Stands for each of a tree's library directories in turn: those that its ld.so knows, and others. */
export const LIBDIR = "$LIBDIR";

const X11 = ["libX11.so.6", "libX11-xcb.so.1", "libxcb.so.1", "libXext.so.6"];
const WAYLAND = ["libwayland-client.so.0", "libwayland-server.so.0", "libwayland-egl.so.1"];
// glvnd's libraries share the tables of libGLdispatch, whose private functions change between releases; libEGL's
// drivers read the internals of libgbm's devices.
const GLVND = [
  ...["libGL.so.1", "libGLX.so.0", "libEGL.so.1", "libOpenGL.so.0", "libGLESv1_CM.so.1", "libGLESv2.so.2"],
  ...["libGLdispatch.so.0", "libgbm.so.1"],
];
// What programs open of NVIDIA's driver, by its README's list of installed components. Each works only with those of
// the same release, and so does what these open themselves: libnvidia-glcore, -eglcore, -gpucomp, -ptxjitcompiler,
// -opencl, …
const NVIDIA = [
  ...["libcuda.so.1", "libnvidia-ml.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-opticalflow.so.1"],
  ...["libnvidia-fbc.so.1", "libnvidia-ifr.so.1", "libnvoptix.so.1", "libnvidia-ngx.so.1", "libnvidia-api.so.1"],
  ...["libnvidia-cfg.so.1", "libnvidia-allocator.so.1", "libGLX_nvidia.so.0", "libEGL_nvidia.so.0"],
];
const VA = ["libva.so.2", "libva-drm.so.2", "libva-x11.so.2", "libva-wayland.so.2"];

export const FAMILIES: Readonly<Record<string, Family>> = {
  glvnd: { libraries: GLVND, isPrivate: true, brings: ["x11", "wayland"] },
  vulkan: { libraries: ["libvulkan.so.1"], isPrivate: false, brings: ["x11", "wayland"] },
  va: { libraries: VA, isPrivate: true, brings: ["x11", "wayland"] },
  nvidia: { libraries: NVIDIA, isPrivate: true, brings: ["x11"] },
  // its drivers share images with OpenGL's
  cl: { libraries: ["libOpenCL.so.1"], isPrivate: false, brings: ["x11"] },
  vdpau: { libraries: ["libvdpau.so.1"], isPrivate: false, brings: ["x11"] },
  x11: { libraries: X11, isPrivate: false, brings: [] },
  wayland: { libraries: WAYLAND, isPrivate: false, brings: [] },
};
/** Libraries in families whose newer copy serves both sides. */
export const NEWEST: readonly string[] = WAYLAND;

const DRIVERS: Variable = { name: "LIBGL_DRIVERS_PATH", kind: "directories", paths: ["$LIBDIR/dri"] };
const BACKENDS: Variable = { name: "GBM_BACKENDS_PATH", kind: "directories", paths: ["$LIBDIR/gbm"] };
// Mesa's configuration for single programs
const DRIRC: Variable = { name: "DRIRC_CONFIGDIR", kind: "first", paths: ["/usr/share/drirc.d"] };
const manifestsOf = (what: string) => [`/etc/${what}`, `/usr/share/${what}`];
const VULKAN_DRIVERS = manifestsOf("vulkan/icd.d");
const MESA = ["libGLX_mesa.so.0", "libEGL_mesa.so.0", "libgbm.so.1", "$LIBDIR/dri", ...VULKAN_DRIVERS];
const CACHES: readonly Variable[] = [
  { name: "MESA_SHADER_CACHE_DIR", kind: "cache", users: MESA, unless: ["MESA_GLSL_CACHE_DIR"] },
  // read by Mesa before 22, and by later releases if the other is not set
  { name: "MESA_GLSL_CACHE_DIR", kind: "cache", users: MESA },
  { name: "__GL_SHADER_DISK_CACHE_PATH", kind: "cache", users: ["libGLX_nvidia.so.0", "libEGL_nvidia.so.0"] },
];

const EGL_VENDORS = manifestsOf("glvnd/egl_vendor.d");
const EGL_PLATFORMS = manifestsOf("egl/egl_external_platform.d");
const EGL_MANIFESTS: readonly Variable[] = [
  { name: "__EGL_VENDOR_LIBRARY_DIRS", kind: "directories", paths: EGL_VENDORS },
  { name: "__EGL_EXTERNAL_PLATFORM_CONFIG_DIRS", kind: "directories", paths: EGL_PLATFORMS },
];
const VULKAN_MANIFESTS: readonly Variable[] = [
  { name: "VK_DRIVER_FILES", kind: "manifests", paths: VULKAN_DRIVERS },
  // read by loaders before 1.3.207
  { name: "VK_ICD_FILENAMES", kind: "manifests", paths: VULKAN_DRIVERS },
];
const VDPAU: Variable = { name: "VDPAU_DRIVER_PATH", kind: "first", paths: ["$LIBDIR/vdpau"] };
// Directories of one-line files, each with a driver's name or path.
const CL_VENDORS = ["/etc/OpenCL/vendors", "/run/opengl-driver/etc/OpenCL/vendors"];
const CL_MANIFESTS: readonly Variable[] = [
  // one directory each; ocl-icd reads the second if the first is not set, other loaders read one of the two
  { name: "OCL_ICD_VENDORS", kind: "first", paths: CL_VENDORS, unless: ["OPENCL_VENDOR_PATH"] },
  { name: "OPENCL_VENDOR_PATH", kind: "first", paths: CL_VENDORS },
];

/** A profile that capsule has itself. */
export type ProfileName = "gl" | "egl" | "vulkan" | "video" | "cl" | "nvidia";

export const PROFILES: Readonly<Record<string, Profile>> = {
  gl: {
    summary: "OpenGL and GLX",
    isolate: ["libGL.so.1", "libGLX.so.0", "libOpenGL.so.0", "libGLdispatch.so.0", ...X11],
    newest: [],
    environment: [DRIVERS, DRIRC, ...CACHES],
  },
  egl: {
    summary: "EGL, OpenGL ES and GBM",
    isolate: ["libEGL.so.1", "libGLESv1_CM.so.1", "libGLESv2.so.2", "libGLdispatch.so.0", "libgbm.so.1", ...X11],
    newest: WAYLAND,
    environment: [DRIVERS, BACKENDS, DRIRC, ...CACHES, ...EGL_MANIFESTS],
  },
  vulkan: {
    summary: "Vulkan",
    isolate: ["libvulkan.so.1", ...X11],
    newest: WAYLAND,
    environment: [...VULKAN_MANIFESTS, DRIRC, ...CACHES],
  },
  video: {
    summary: "video decoding by VA-API and VDPAU",
    isolate: [...VA, "libvdpau.so.1", ...X11],
    newest: WAYLAND,
    environment: [{ name: "LIBVA_DRIVERS_PATH", kind: "directories", paths: ["$LIBDIR/dri"] }, VDPAU, DRIRC, ...CACHES],
  },
  cl: {
    summary: "OpenCL",
    isolate: ["libOpenCL.so.1", ...X11],
    newest: [],
    environment: [...CL_MANIFESTS, ...CACHES],
  },
  nvidia: {
    summary: "what programs open of NVIDIA's driver, such as CUDA",
    isolate: [...NVIDIA, ...X11],
    newest: [],
    environment: [...EGL_MANIFESTS, ...VULKAN_MANIFESTS, BACKENDS, VDPAU, ...CL_MANIFESTS, ...CACHES],
  },
} satisfies Record<ProfileName, Profile>;

/** What an isolated library will probably open when it is used, for reading ahead. */
export const AHEAD: Readonly<Record<string, readonly string[]>> = {
  "libGL.so.1": ["libGLX_mesa.so.0", "$LIBDIR/dri/swrast_dri.so"],
  "libGLX.so.0": ["libGLX_mesa.so.0"],
  "libEGL.so.1": ["libEGL_mesa.so.0", "$LIBDIR/dri/swrast_dri.so"],
};

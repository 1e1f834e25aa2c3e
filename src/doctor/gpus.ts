// The machine's graphics cards, whether this user may access them, and whether the host tree has their drivers.

import { basename } from "node:path";
import type { Search } from "../../lib/tree/search.ts";
import { directoriesOf, namesIn } from "./drivers.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";
import type { MachineFiles } from "./machine-files.ts";

/** By kernel driver, Mesa's drivers for it: the files of dri/, and those of VA-API. */
const MESA: Readonly<Record<string, { readonly dri: readonly string[]; readonly video?: readonly string[] }>> = {
  amdgpu: { dri: ["radeonsi"], video: ["radeonsi"] },
  radeon: { dri: ["radeonsi", "r600", "r300"], video: ["r600", "radeonsi"] },
  i915: { dri: ["iris", "crocus", "i965", "i915"], video: ["iHD", "i965"] },
  xe: { dri: ["iris"], video: ["iHD"] },
  nouveau: { dri: ["nouveau"], video: ["nouveau"] },
  virtio_gpu: { dri: ["virtio_gpu"] },
  vmwgfx: { dri: ["vmwgfx"] },
};

export function gpuFindings(files: MachineFiles, hosts: readonly Search[]): Finding[] {
  const cards = cardsIn(files);
  const module = nvidiaModule(files);
  if (cards.length === 0 && module === undefined)
    return [fine("gpu", "the machine has no graphics card that is to be seen: the processor draws")];
  return [
    ...cards.map(({ name, driver }) => fine("gpu", `${name}: ${driver}`)),
    ...devices(files, cards),
    ...hosts.flatMap((search) => [
      ...cards.flatMap((card) => [...mesaDriver(card, search)]),
      ...(module === undefined ? [] : [nvidia(module, files, search)].flat()),
    ]),
  ];
}

type Card = ReturnType<typeof cardsIn>[number];

/** The cards in /sys/class/drm, with the kernel's drivers. */
function cardsIn(files: MachineFiles) {
  const DRM = "/sys/class/drm";
  return files
    .names(DRM)
    .filter((name) => /^card\d+$/.test(name))
    .flatMap((name) => {
      const link = files.link(`${DRM}/${name}/device/driver`);
      return link === undefined ? [] : [{ name, driver: basename(link) }];
    });
}

/** Checks the device files through which programs use cards. */
function devices(files: MachineFiles, cards: readonly Card[]): Finding[] {
  if (cards.length === 0) return [];
  const nodes = files.names("/dev/dri").filter((name) => /^renderD\d+$/.test(name));
  // A display-only card has no render node.
  const isRendering = cards.some(({ driver }) => driver in MESA || driver === "nvidia");
  if (nodes.length === 0 && isRendering)
    return [
      warning(
        "dri-device",
        "there is a graphics card, and no /dev/dri/renderD*: the processor draws",
        "a container has to be given it: --device /dev/dri; flatpak override --user --device=dri APPLICATION",
      ),
    ];
  const locked = nodes.filter((name) => !files.isUsable(`/dev/dri/${name}`));
  return locked.map((name) =>
    warning(
      "dri-device",
      `"/dev/dri/${name}" may not be used by this user: the processor draws`,
      "join its group, and log in again: sudo usermod -aG render,video $USER",
    ),
  );
}

function* mesaDriver({ name, driver }: Card, search: Search): Generator<Finding> {
  const known = MESA[driver];
  // Mesa has no driver for it, or its driver is not Mesa's.
  if (!known || !search.find("libGL.so.1", undefined)) return;
  const lacks = (drivers: readonly string[], profile: string, variable: string, ending: string) => {
    const there = namesIn(directoriesOf(search, profile, variable), /\.so$/);
    return drivers.length > 0 && !drivers.some((one) => there.includes(`${one}${ending}`));
  };
  const { dri, video = [] } = known;
  const isOneLibrary = namesIn(search.directories, /^libgallium-.*\.so$/).length > 0;
  if (!isOneLibrary && lacks(dri, "gl", "LIBGL_DRIVERS_PATH", "_dri.so"))
    yield warning(
      "gpu-driver",
      `${search.tree.name} has no driver for ${name} (${driver}: ${dri.join(", ")}): the processor draws`,
      "install Mesa's drivers in the host tree (libgl1-mesa-dri), or a newer Mesa",
    );
  if (search.find("libva.so.2", undefined) && lacks(video, "video", "LIBVA_DRIVERS_PATH", "_drv_video.so"))
    yield warning(
      "video-driver",
      `${search.tree.name} has no video driver for ${name} (${driver}: ${video.join(", ")}): the processor decodes`,
      "install mesa-va-drivers or intel-media-va-driver in the host tree",
    );
}

/** The version of NVIDIA's kernel module. */
function nvidiaModule(files: MachineFiles): string | undefined {
  return /Kernel Module(?: for \S+)? +(\d+(?:\.\d+)+)/.exec(files.text("/proc/driver/nvidia/version") ?? "")?.[1];
}

/** NVIDIA's libraries work only with a kernel module of the same release. */
function nvidia(module: string, files: MachineFiles, search: Search): Finding | Finding[] {
  const found = search.find("libGLX_nvidia.so.0", undefined);
  if (!found)
    return warning(
      "nvidia",
      `the machine has NVIDIA's kernel module ${module}, and ${search.tree.name} has no libGLX_nvidia.so.0: that card is not used`,
      `install NVIDIA's libraries, ${module}, in the host tree`,
    );
  const version = /\.so\.(\d+\.\d+(?:\.\d+)?)$/.exec(found.path)?.[1];
  if (version !== undefined && version !== module)
    return hindrance(
      "nvidia",
      `NVIDIA's kernel module is ${module}, and the libraries of ${search.tree.name} are ${version}: they refuse each other`,
      "boot again after an upgrade, or install the same release in the host tree",
    );
  const locked = ["/dev/nvidiactl", "/dev/nvidia0"].filter((path) => !files.isUsable(path));
  return [
    fine("nvidia", `NVIDIA ${module}, as the kernel module`),
    ...locked.map((path) =>
      warning("nvidia", `"${path}" is not there, or may not be used`, "a container has to be given it: --gpus all"),
    ),
  ];
}

// Whether this process is in a container, and whether the container's host is visible.

import { type Finding, fine, warning } from "./finding.ts";
import type { MachineFiles } from "./machine-files.ts";

interface Container {
  readonly name: string;
  /** A file that exists only in this container. */
  readonly mark: string;
  /** How to make this container show its host. */
  readonly advice: string;
}

const SHOW = "-v /:/run/host:ro";

const CONTAINERS: readonly Container[] = [
  {
    name: "the Steam runtime's container",
    mark: "/run/pressure-vessel",
    advice: "it shows the host at /run/host itself: is this its own shell?",
  },
  {
    name: "a Flatpak sandbox",
    mark: "/.flatpak-info",
    advice: "flatpak override --user --filesystem=host-os APPLICATION shows the host's /usr at /run/host",
  },
  { name: "a Snap", mark: "/snap/core", advice: "its host is at /var/lib/snapd/hostfs: --host /var/lib/snapd/hostfs" },
  { name: "a Podman container", mark: "/run/.containerenv", advice: `start it with ${SHOW}` },
  { name: "a Docker container", mark: "/.dockerenv", advice: `start it with ${SHOW}` },
];

/** `hosts` are the names of the host trees. */
export function containerFinding(files: MachineFiles, hosts: readonly string[], variables: NodeJS.ProcessEnv): Finding {
  const container = CONTAINERS.find(({ name, mark }) =>
    name === "a Snap" ? variables.SNAP !== undefined : files.isThere(mark),
  );
  const manager = files.text("/run/systemd/container")?.trim();
  const name = container?.name ?? (manager ? `a container (${manager})` : undefined);
  if (name === undefined) return fine("container", "not in a container");
  if (hosts.some((host) => host !== "/")) return fine("container", `in ${name}, with ${hosts.join(", ")} as host tree`);
  return warning(
    "container",
    `in ${name}, and its host is not to be seen: the container's own graphics libraries are used`,
    container?.advice ?? `its host tree has to be visible, and be named by --host`,
  );
}

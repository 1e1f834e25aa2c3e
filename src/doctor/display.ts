// Where programs can show windows: an X server or a Wayland compositor.

import { hostname } from "node:os";
import { join } from "node:path";
import { LocalSocket } from "../../lib/process/local-socket.ts";
import type { System } from "../../lib/process/system.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";
import type { MachineFiles } from "./machine-files.ts";
import { answerOf, keyFor, localDisplay, setupRequest } from "./x11.ts";

export type Variables = Readonly<Record<string, string | undefined>>;

/** Returns why a display cannot be reached. Undefined if it can. */
type Knock = (variables: Variables) => string | undefined;

/** How long a server may take to answer, in milliseconds. A working one takes less than one. */
const REPLY_LIMIT_MS = 500;

interface DisplayFacts {
  readonly variables: Variables;
  readonly knockX11: Knock;
  readonly knockWayland: Knock;
}

export function displayFindings({ variables, knockX11, knockWayland }: DisplayFacts): Finding[] {
  const { DISPLAY: display, WAYLAND_DISPLAY: wayland, WAYLAND_SOCKET: inherited } = variables;
  if (!display && !wayland && !inherited)
    return [
      warning(
        "display",
        "neither DISPLAY nor WAYLAND_DISPLAY is set: programs with windows do not start",
        "start it in a graphical session, or on an X server without a screen: xvfb-run -a capsule exec …",
      ),
    ];
  const x11 = display ? { ...X11, display, fault: knockX11(variables) } : undefined;
  const compositor = wayland ? { ...WAYLAND, display: wayland, fault: knockWayland(variables) } : undefined;
  const asked = [x11, compositor].filter((one) => one !== undefined);
  // One display that answers is enough for most programs.
  const hasOne = Boolean(inherited) || asked.some(({ fault }) => fault === undefined);
  const findings = asked.map(({ check, name, display, fault, advice }) => {
    if (fault === undefined) return fine(check, `${name}=${display} answers`);
    return (hasOne ? warning : hindrance)(check, `${name}=${display} cannot be used: ${fault}`, advice);
  });
  if (x11 && x11.fault === undefined && localDisplay(x11.display) === undefined)
    findings.push(
      warning(
        "x11",
        `DISPLAY=${display} leads through a network: drivers cannot draw into its windows directly`,
        "run the program where its screen is",
      ),
    );
  if (!variables.XDG_RUNTIME_DIR && wayland && !wayland.startsWith("/"))
    findings.push(
      warning(
        "XDG_RUNTIME_DIR",
        `XDG_RUNTIME_DIR is not set, in which the socket "${wayland}" is looked for`,
        "export XDG_RUNTIME_DIR=/run/user/$(id -u)",
      ),
    );
  return findings;
}

const X11 = {
  check: "x11",
  name: "the X server of DISPLAY",
  advice:
    "is the server running, is its socket (/tmp/.X11-unix) visible here, and does XAUTHORITY name the file with its key?",
};
const WAYLAND = {
  check: "wayland",
  name: "the Wayland compositor of WAYLAND_DISPLAY",
  advice: "is the compositor running, and is its socket (in XDG_RUNTIME_DIR) visible here?",
};

/** Tries to connect to an X server on this machine. A remote server is not asked. */
export const knockX11 =
  (system: System, files: MachineFiles): Knock =>
  ({ DISPLAY = "", XAUTHORITY, HOME }) => {
    const display = localDisplay(DISPLAY);
    if (!display) return /:\d+(\.\d+)?$/.test(DISPLAY) ? undefined : "that is not the name of a display (such as :0)";
    const usual = `/tmp/.X11-unix/X${display.number}`;
    const names = display.path === undefined ? [`\0${usual}`, usual] : [display.path];
    const file = XAUTHORITY || (HOME && join(HOME, ".Xauthority"));
    const keys = file ? files.bytes(file) : undefined;
    return tryEach(names, system, (socket) => {
      socket.send(setupRequest(keys && keyFor(keys, hostname(), display.number)));
      const reply = socket.receive(256, REPLY_LIMIT_MS);
      if (reply === undefined) return `it has not answered for ${REPLY_LIMIT_MS} ms`;
      const answer = answerOf(reply);
      return answer.isOpen ? undefined : `it says "${answer.reason}"`;
    });
  };

/** A compositor sends nothing until asked for something, so it suffices that it accepts a connection. */
export const knockWayland =
  (system: System): Knock =>
  ({ WAYLAND_DISPLAY = "", XDG_RUNTIME_DIR }) => {
    if (!WAYLAND_DISPLAY.startsWith("/") && !XDG_RUNTIME_DIR) return "XDG_RUNTIME_DIR is not set";
    return tryEach([join(WAYLAND_DISPLAY.startsWith("/") ? "" : (XDG_RUNTIME_DIR ?? ""), WAYLAND_DISPLAY)], system);
  };

const FAULTS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ECONNREFUSED: "nobody listens at its socket",
  EACCES: "its socket is somebody else's",
  EAGAIN: "it does not take connections",
  ENOTSOCK: "that is not a socket",
};

function tryEach(
  names: readonly string[],
  system: System,
  talk: (socket: LocalSocket) => string | undefined = () => undefined,
): string | undefined {
  let fault: string | undefined;
  for (const name of names)
    try {
      using socket = new LocalSocket(name, system);
      return talk(socket);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      fault = FAULTS[code] ?? message;
    }
  return fault;
}

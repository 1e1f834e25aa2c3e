// libGLU, which this process has loaded on the machine's own OpenGL, uses a host tree's for a while.
//
//   CAPSULE_PREFIX=/run/host bun redirect.ts

import { dlopen } from "bun:ffi";
import { openCapsule } from "capsule";

dlopen("libGLU.so.1", { gluGetString: { args: ["u32"], returns: "cstring" } });
using capsule = openCapsule({ libraries: ["libOpenGL.so.0"] });
{
  using redirection = capsule.redirect((path) => path.includes("/libGLU.so."));
  const [slot] = redirection.slots;
  console.log(`${redirection.slots.length} slots, such as ${slot?.symbol}: ${slot?.from} → ${slot?.to}`);
}
console.log("and back");

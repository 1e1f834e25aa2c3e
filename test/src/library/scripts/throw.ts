// Arguments: a library that throws, once for each capsule.

import { openCapsule } from "../../../../src/index.ts";
import { say, TEXT } from "./show.ts";

const [library = ""] = process.argv.slice(2);

const capsules = [openCapsule({ host: "/" }), openCapsule({ host: "/" })];
for (const capsule of capsules) {
  const { symbols } = capsule.dlopen(library, { caught: TEXT });
  say(`caught in namespace ${capsule.namespace}`, symbols.caught());
}
for (const capsule of capsules) capsule.close();

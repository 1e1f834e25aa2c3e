// Arguments: a host tree, and how to end without closing the capsule.

import { openCapsule } from "../../../../src/index.ts";

const [host = "", how] = process.argv.slice(2);
openCapsule({ host, libraries: ["libbusy.so.1"], profiles: [] });
console.log("opened");
if (how === "exit") process.exit(0);

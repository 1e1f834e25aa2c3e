// Argument: a host tree, if one is to be named.

import { openCapsule } from "../../../../src/index.ts";

const [host] = process.argv.slice(2);
using capsule = openCapsule({ profiles: [], ...(host === undefined ? {} : { host }) });
console.log(capsule.host);

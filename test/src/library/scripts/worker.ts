// Arguments: a host tree of the notgl family. A Worker opens a capsule, and is told to end before it has closed it.

import { isMainThread, parentPort } from "node:worker_threads";
import { openCapsule } from "../../../../src/index.ts";
import { say } from "./show.ts";

const [host = ""] = process.argv.slice(2);
if (isMainThread) {
  const worker = new Worker(import.meta.path, { argv: [host] });
  const { promise, resolve } = Promise.withResolvers<number>();
  worker.onmessage = ({ data }) => resolve(data as number);
  say("a Worker has namespace", await promise);
  await worker.terminate();
  say("the process ends", true);
} else {
  const capsule = openCapsule({ host, libraries: ["libnotgl.so.0"] });
  parentPort?.postMessage(capsule.namespace);
}

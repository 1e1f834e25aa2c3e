// Paths on which one might wait for ever are told by the list of mounts alone.

import { expect, test } from "bun:test";
import { MachineFiles } from "../../../src/doctor/machine-files.ts";
import { answers, askingMount, mountsIn } from "../../../src/doctor/network.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";

const MOUNTINFO = [
  "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
  "40 22 0:35 / /srv/games\\040of\\040all rw,relatime shared:9 - nfs4 nas:/games rw,vers=4.2",
  "41 22 0:36 / /mnt/local rw - tmpfs tmpfs rw",
  "42 22 0:37 / /home/me/remote rw - fuse.sshfs me@there: rw",
  "",
].join("\n");

test("mounts have their points, with blanks, and their types", () => {
  expect(mountsIn(MOUNTINFO)).toEqual([
    { point: "/", type: "ext4" },
    { point: "/srv/games of all", type: "nfs4" },
    { point: "/mnt/local", type: "tmpfs" },
    { point: "/home/me/remote", type: "fuse.sshfs" },
  ]);
});

test("a path is asked for where it goes through such a mount, also by a link", () => {
  const mounts = mountsIn(MOUNTINFO);
  using root = new SmallTree({
    "/opt/game": "-> ../srv/games of all/game",
    "/opt/loop": "-> loop",
    "/opt/own": Buffer.from(""),
  });
  const files = new MachineFiles(root.directory);
  const pointOf = (path: string) => askingMount(path, mounts, files)?.point;
  expect(pointOf("/srv/games of all/quake/bin")).toBe("/srv/games of all");
  expect(pointOf("/srv/games of all")).toBe("/srv/games of all");
  expect(pointOf("/home/me/remote/x")).toBe("/home/me/remote");
  expect(pointOf("/opt/game/bin")).toBe("/srv/games of all");
  for (const path of ["/", "/srv", "/srv/games of allx", "/mnt/local/x", "/opt/own", "/opt/loop", "/no/such"])
    expect(pointOf(path)).toBeUndefined();
});

test("what is local answers, and so does what is not there", () => {
  expect(answers("/")).toBe(true);
  expect(answers("/no/such/path")).toBe(true);
});

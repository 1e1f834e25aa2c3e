// X11's connection setup, and the file with a user's keys to displays (Xau(3)): enough to be accepted by an X server,
// or to learn why not.

/** An X server's answer to a connection setup request. */
type Answer = { readonly isOpen: true } | { readonly isOpen: false; readonly reason: string };

const KEY = "MIT-MAGIC-COOKIE-1";
const PROTOCOL = 11;
const LITTLE_ENDIAN = 0x6c;
/** Address families in Xauthority: this host by name, and any host. */
const [LOCAL, WILD] = [256, 65535];

/** A display on this machine: ":0", "unix:0", ":0.1", "/path:0". Undefined for one reached through a network. */
export function localDisplay(display: string): { number: string; path: string | undefined } | undefined {
  const [, host = "", number = ""] = /^(.*):(\d+)(?:\.\d+)?$/.exec(display) ?? [];
  if (number === "") return undefined;
  if (host === "" || host === "unix") return { number, path: undefined };
  // As XQuartz sets it.
  return host.startsWith("/") ? { number, path: `${host}:${number}` } : undefined;
}

/** The key to a host's display in an Xauthority file. */
export function keyFor(bytes: Uint8Array, host: string, number: string): Uint8Array | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const u16 = (): number => {
    const value = at + 2 <= file.length ? file.readUInt16BE(at) : 0;
    at += 2;
    return value;
  };
  const field = (): Buffer => {
    const size = u16();
    at += size;
    return file.subarray(at - size, at);
  };
  while (at + 2 <= file.length) {
    const family = u16();
    const [address, display, name, data] = [field(), field(), field(), field()];
    if (at > file.length) return undefined; // cut off
    const isHosts = family === WILD || (family === LOCAL && address.toString() === host);
    if (isHosts && ["", number].includes(display.toString()) && name.toString() === KEY) return data;
  }
  return undefined;
}

export function setupRequest(key: Uint8Array | undefined): Uint8Array {
  const name = Buffer.from(key ? KEY : "");
  const data = key ?? new Uint8Array(0);
  const head = Buffer.alloc(12);
  head.writeUInt8(LITTLE_ENDIAN, 0);
  head.writeUInt16LE(PROTOCOL, 2);
  head.writeUInt16LE(name.length, 6);
  head.writeUInt16LE(data.length, 8);
  return Buffer.concat([head, padded(name), padded(data)]);
}

/** Pads to a multiple of four bytes. */
const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

export function answerOf(reply: Uint8Array): Answer {
  const [status, size = 0] = reply;
  if (status === 1) return { isOpen: true };
  if (status === 0) {
    const text = Buffer.from(reply.subarray(8, 8 + size)).toString("latin1");
    return { isOpen: false, reason: text.replace(/\0.*/s, "").trim() };
  }
  return {
    isOpen: false,
    reason: status === undefined ? "it hangs up" : "it wants a kind of key that nobody here has",
  };
}

// A picture of the screen, and what is about the same in two of them although something moves.

const COLOURS = ["red", "green", "blue"] as const;
type Colour = (typeof COLOURS)[number];

const TILE = 8;

/** Where a colour is, in pixels. */
export interface Patch {
  count: number;
  /** The middle of all its pixels. */
  x: number;
  y: number;
}

export class Picture {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel: red, green, blue. */
  private readonly bytes: Uint8Array;

  constructor(width: number, height: number, bytes: Uint8Array) {
    if (bytes.length !== 3 * width * height) throw new Error(`${bytes.length} bytes are no ${width}×${height} picture`);
    this.width = width;
    this.height = height;
    this.bytes = bytes;
  }

  /** Which pixels are more of that colour than of the other two together. */
  patch(colour: Colour): Patch {
    const channel = COLOURS.indexOf(colour);
    let [count, xs, ys] = [0, 0, 0];
    for (let i = 0; i < this.width * this.height; i++) {
      const at = 3 * i;
      const own = this.byte(at + channel);
      const others = this.byte(at) + this.byte(at + 1) + this.byte(at + 2) - own;
      if (own < 40 || own <= 1.2 * others) continue;
      count++;
      xs += i % this.width;
      ys += Math.floor(i / this.width);
    }
    return { count, x: xs / count, y: ys / count };
  }

  patches(): Record<Colour, Patch> {
    return { red: this.patch("red"), green: this.patch("green"), blue: this.patch("blue") };
  }

  /** How many pixels are not black. */
  get lit(): number {
    let lit = 0;
    for (let at = 0; at < this.bytes.length; at += 3) {
      if (this.byte(at) + this.byte(at + 1) + this.byte(at + 2) > 24) lit++;
    }
    return lit;
  }

  /** How many pixels are white, or nearly so. */
  get white(): number {
    let white = 0;
    for (let at = 0; at < this.bytes.length; at += 3)
      if (Math.min(this.byte(at), this.byte(at + 1), this.byte(at + 2)) > 200) white++;
    return white;
  }

  /** How many different colours there are. */
  get colours(): number {
    const seen = new Set<number>();
    for (let at = 0; at < this.bytes.length; at += 3) {
      seen.add((this.byte(at) << 16) | (this.byte(at + 1) << 8) | this.byte(at + 2));
    }
    return seen.size;
  }

  /** The mean of red, green and blue in each square of TILE pixels, row by row. */
  get tiles(): Float64Array {
    const columns = Math.floor(this.width / TILE);
    const rows = Math.floor(this.height / TILE);
    const sums = new Float64Array(3 * columns * rows);
    for (let y = 0; y < rows * TILE; y++) {
      for (let x = 0; x < columns * TILE; x++) {
        const tile = 3 * (Math.floor(y / TILE) * columns + Math.floor(x / TILE));
        for (let channel = 0; channel < 3; channel++) {
          sums[tile + channel] = (sums[tile + channel] ?? 0) + this.byte(3 * (y * this.width + x) + channel);
        }
      }
    }
    return sums.map((sum) => sum / TILE ** 2);
  }

  /** Writes it as a file of the simplest kind, for people to look at. */
  async save(path: string): Promise<void> {
    await Bun.write(path, Buffer.concat([Buffer.from(`P6\n${this.width} ${this.height}\n255\n`), this.bytes]));
  }

  toString(): string {
    return `${this.width}×${this.height} pixels, of which ${this.lit} are not black: ${JSON.stringify(this.patches())}`;
  }

  private byte(at: number): number {
    return this.bytes[at] ?? 0;
  }
}

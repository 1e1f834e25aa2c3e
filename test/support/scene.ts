// What stands still in pictures of something that moves in places, such as a game's title screen, and how much another
// picture is like that.

import type { Picture } from "./picture.ts";

/** Standard deviation, in levels of 255, of what moves. A thin line that passes by stays below it. */
const MOVING = 20;

export class Scene {
  private readonly mean: Float64Array;
  private readonly isStill: readonly boolean[];

  constructor(pictures: readonly Picture[]) {
    const all = pictures.map(({ tiles }) => tiles);
    this.mean = meanOf(all);
    this.isStill = Array.from(this.mean, (mean, i) => {
      const squares = all.reduce((sum, tiles) => sum + ((tiles[i] ?? 0) - mean) ** 2, 0);
      return Math.sqrt(squares / all.length) < MOVING;
    });
  }

  /** How much of it stands still: 1 is all. */
  get stillness(): number {
    return this.isStill.filter(Boolean).length / this.isStill.length;
  }

  /**
   * 1 for pictures that are, on average, the same where the scene stands still. 0, or less, for what is no more like it
   * than a plain surface of its mean colour (the coefficient of determination).
   */
  likeness(pictures: readonly Picture[]): number {
    const others = meanOf(pictures.map(({ tiles }) => tiles));
    const still = [...this.mean.keys()].filter((i) => this.isStill[i]);
    const at = (list: Float64Array, i: number) => list[i] ?? 0;
    const middle = still.reduce((sum, i) => sum + at(this.mean, i), 0) / still.length;
    const variation = still.reduce((sum, i) => sum + (at(this.mean, i) - middle) ** 2, 0);
    const difference = still.reduce((sum, i) => sum + (at(others, i) - at(this.mean, i)) ** 2, 0);
    return variation === 0 ? 0 : 1 - difference / variation;
  }
}

function meanOf(list: readonly Float64Array[]): Float64Array {
  const [first] = list;
  if (!first) throw new Error("There are no pictures");
  return first.map((_, i) => list.reduce((sum, values) => sum + (values[i] ?? 0), 0) / list.length);
}

// A bash or fish command line as it is typed: its words without quotes, and the position of each character. Nothing is
// expanded: "~" and "$HOME" stay.

export type Syntax = "bash" | "fish";

class TypedWord {
  /** Without quotes and backslashes. */
  text = "";
  /** The quote still open at the end: ", ', or bash's $'. */
  quote = "";
  /** For each character of the text: its place in the line, and the quote that it is in. */
  readonly #places: (readonly [place: number, quote: string])[] = [];

  constructor(
    readonly line: string,
    /** Its place in the line. */
    readonly start: number,
  ) {}

  add(character: string, place: number): void {
    this.text += character;
    this.#places.push([place, this.quote]);
  }

  /** How many characters of the text precede a place in the line. */
  lengthTo(place: number): number {
    const length = this.#places.findIndex(([at]) => at >= place);
    return length < 0 ? this.text.length : length;
  }

  /** The source text, quotes included, without the first `length` characters of the text. */
  behind(length: number): string {
    const [place, quote] = this.#places[length] ?? [this.line.length, this.quote];
    return quote + this.line.slice(place);
  }
}

/** The last word is the one at the end of the line, and is empty after a space. */
export function typedWords(line: string, syntax: Syntax): TypedWord[] {
  const words: TypedWord[] = [];
  let word: TypedWord | undefined;
  for (let i = 0; i < line.length; i++) {
    const [character, next] = [line[i] ?? "", line[i + 1] ?? ""];
    if (/\s/.test(character) && !word?.quote) {
      word = undefined;
      continue;
    }
    if (!word) {
      word = new TypedWord(line, i);
      words.push(word);
    }
    if (character === "\\" && next !== "" && isEscaped(next, word.quote, syntax)) {
      const isNamed = word.quote === "$'" || (word.quote === "" && syntax === "fish");
      word.add((isNamed && CONTROLS[next]) || next, i++);
    } else if (word.quote !== "" && word.quote.endsWith(character)) word.quote = "";
    else if (word.quote !== "") word.add(character, i);
    else if (character === "'" || character === '"') word.quote = character;
    else if (character === "$" && next === "'" && syntax === "bash") {
      word.quote = "$'";
      i++;
    } else word.add(character, i);
  }
  if (!word) words.push(new TypedWord(line, line.length));
  return words;
}

const CONTROLS: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", e: "\x1b" };

function isEscaped(character: string, quote: string, syntax: Syntax): boolean {
  if (quote === '"') return '"\\$`\n'.includes(character);
  if (quote === "'") return syntax === "fish" && "'\\".includes(character);
  return true;
}

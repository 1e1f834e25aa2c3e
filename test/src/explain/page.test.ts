import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { Explanation } from "../../../src/explain/explanation.ts";
import type { PageData } from "../../../src/explain/page/data.ts";
import { pageOf } from "../../../src/explain/page.ts";
import { largeExplanation, smallExplanation } from "../../support/explanation.ts";

const STEPS = ["context", "objects", "relocations", "constructors", "entry", "destructors"];

/** The page as a browser without scripts has it. */
function parsed(page: string) {
  const elements: { tag: string; attributes: Map<string, string> }[] = [];
  const texts: string[] = [];
  new HTMLRewriter()
    .on("*", {
      element: ({ tagName: tag, attributes }) => void elements.push({ tag, attributes: new Map(attributes) }),
    })
    .on("body *", { text: (part) => void texts.push(part.text) })
    .transform(page);
  return { elements, text: texts.join("") };
}

const tagged = (page: string, tag: string) => parsed(page).elements.filter((element) => element.tag === tag);

function dataOf(page: string): PageData {
  const [, json] = /<script type="application\/json" id="explanation">(.*?)<\/script>/s.exec(page) ?? [];
  return JSON.parse(json ?? "");
}

describe("a page", () => {
  const small = pageOf(smallExplanation());

  test("has the six steps in order, each with its heading, and a link to each", () => {
    expect(tagged(small, "section").map(({ attributes }) => attributes.get("id"))).toEqual(STEPS);
    const headings = tagged(small, "h2").map(({ attributes }) => attributes.get("id"));
    expect(headings).toEqual(STEPS.map((id) => `${id}-title`));
    const links = tagged(small, "a").map(({ attributes }) => attributes.get("href"));
    expect(links.slice(0, 6)).toEqual(STEPS.map((id) => `#${id}`));
  });

  test("tells all of a small program without its script", () => {
    const { text } = parsed(small);
    for (const told of [
      "AT_PHDR",
      "RUNPATH $ORIGIN",
      "R_X86_64_COPY",
      "4 bytes from",
      "get_greet2",
      "libinit",
      "_start",
    ])
      expect(text).toContain(told);
  });

  test("says what the kernel will give, what is made up, and what becomes read-only", () => {
    const { text } = parsed(small);
    expect(text).toMatch(/AT_RANDOM\s*given by the kernel at start/);
    expect(text).toContain("Addresses are made up");
    const { start, end } = smallExplanation().objects[1]?.relro ?? {};
    const [, relocations = ""] = /<section id="relocations"(.*?)<\/section>/s.exec(small) ?? [];
    expect(relocations).toContain(`${start}–${end}`);
  });

  test("has every id once, and leads to none that is not there", () => {
    const ids = parsed(small).elements.flatMap(({ attributes }) => attributes.get("id") ?? []);
    expect(ids.length).toBe(new Set(ids).size);
    const targets = tagged(small, "a").map(({ attributes }) => (attributes.get("href") ?? "").slice(1).split("?")[0]);
    for (const target of targets) expect(ids).toContain(target as string);
  });

  test("needs no network and no other file", () => {
    for (const { attributes } of parsed(small).elements)
      for (const name of ["src", "href", "action", "data", "poster", "srcset"])
        expect(attributes.get(name) ?? "#").toStartWith("#");
    expect(small).not.toMatch(/@import|url\((?!#)/);
  });

  test("allows by hash what it has of script and style, and nothing else", () => {
    const [meta] = tagged(small, "meta").filter(({ attributes }) => attributes.has("http-equiv"));
    const policy = meta?.attributes.get("content")?.replaceAll("&#x27;", "'") ?? "";
    expect(policy).toStartWith("default-src 'none'");
    const parts = small.matchAll(/<(script|style)>(.*?)<\/\1>/gs).map(([, , text]) => text ?? "");
    for (const text of parts)
      expect(policy).toContain(`'sha256-${createHash("sha256").update(text).digest("base64")}'`);
    for (const { attributes } of parsed(small).elements)
      for (const name of attributes.keys()) expect(name).not.toMatch(/^(on|style$)/);
  });

  test("says why a program is only shown, and what had to be told", () => {
    const page = pageOf(smallExplanation({ isOnlyShown: "it needs libc.so.6", warnings: ["copies of two sizes"] }));
    expect(parsed(page).text).toContain("it needs libc.so.6");
    expect(parsed(page).text).toContain("copies of two sizes");
    expect(parsed(small).text).not.toContain("Only shown");
  });

  test("is made of a program of nothing", () => {
    const page = pageOf({
      ...smallExplanation(),
      context: { arguments: [], environment: 0, auxiliary: [], loadBias: undefined },
      objects: [],
      relocations: [],
      initializers: [],
      initializerCount: 0,
      finalizers: [],
      finalizerCount: 0,
    });
    expect(tagged(page, "section")).toHaveLength(6);
    expect(page.replace(/<script>.*?<\/script>/gs, "")).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("has no number that could not be computed", () => {
    const attributes = parsed(small).elements.flatMap(({ attributes }) => [...attributes.values()]);
    for (const value of attributes) expect(value).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe("names of strangers", () => {
  const HOSTILE = `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'&\x1b[31m\x00\u202e<!--`;
  const hostile = pageOf(everywhere(smallExplanation(), HOSTILE));

  /** The text instead of each that is not an address or an enumeration. */
  function everywhere(explanation: Explanation, text: string): Explanation {
    const names = new Set(["program", "name", "path", "why", "symbol", "version", "meaning", "answer", "from", "type"]);
    const lists = new Set(["arguments", "warnings"]);
    const replaced = JSON.stringify(explanation, (key, value) => {
      if (names.has(key) && typeof value === "string" && !value.startsWith("0x")) return text;
      return lists.has(key) ? [text] : value;
    });
    return { ...JSON.parse(replaced), isOnlyShown: text };
  }

  test("are text, wherever they are", () => {
    const harmless = pageOf(everywhere(smallExplanation(), "x"));
    const tagsOf = (page: string) => parsed(page).elements.map(({ tag }) => tag);
    expect(tagsOf(hostile)).toEqual(tagsOf(harmless));
    expect(tagsOf(hostile)).not.toContain("img");
    for (const { attributes } of parsed(hostile).elements) expect(attributes.has("onerror")).toBeFalse();
  });

  test("are shown with their control characters spelled out", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(hostile).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    expect(hostile).toContain("\\x1b[31m\\x00\\u{202e}");
    expect(dataOf(hostile).strings.join("")).toContain("\\x1b[31m\\x00\\u{202e}");
  });

  test("come to the script as they are", () => {
    expect(dataOf(hostile).objects[0]?.name).toStartWith("</script><script>alert(1)");
  });
});

describe("of 20,000 relocations a page", () => {
  const large = pageOf(largeExplanation(20_000));

  test("is smaller than 10 MB", () => {
    expect(Buffer.byteLength(large)).toBeLessThan(10_000_000);
  });

  test("has all of them for its script, and each name once", () => {
    const { relocations, strings, searches } = dataOf(large);
    expect(relocations).toHaveLength(20_000);
    expect(new Set(strings).size).toBe(strings.length);
    expect(searches.length).toBeLessThanOrEqual(60);
  });

  test("says how many are not there without it", () => {
    expect(large).toContain("19500 more are shown with JavaScript");
  });

  test("and how many constructors are not listed", () => {
    expect(large).toContain("<p>and 1850 more</p>");
    expect(large).toContain("2000 constructors have been called");
  });
});

// The page of `capsule link --explain=html`, as a browser shows it and lets it be stepped through.
// With CAPSULE_TEST_PICTURES=DIR a picture of each step is left there.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExplainedObject, Explanation } from "../../src/explain/explanation.ts";
import { pageOf } from "../../src/explain/page.ts";
import { Browser, type Page, type Window } from "../support/browser.ts";
import { largeExplanation, smallExplanation } from "../support/explanation.ts";

const STEPS = ["context", "objects", "relocations", "constructors", "entry", "destructors"];
const COPY = 9;

const directory = mkdtempSync(join(tmpdir(), "capsule-page-"));
const pictures = process.env.CAPSULE_TEST_PICTURES;
let browser: Browser;

beforeAll(async () => {
  browser = await Browser.start();
});
afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function opened(explanation: Explanation, hash = "", window: Window = {}): Promise<Page> {
  const file = join(directory, `${Bun.hash(JSON.stringify(explanation))}.html`);
  writeFileSync(file, pageOf(explanation));
  return await browser.open(`file://${file}${hash}`, window);
}

const hashIn = (page: Page) => page.evaluate<string>("location.hash");
const textOf = (page: Page, selector: string) =>
  page.evaluate<string>(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? ""`);
const countOf = (page: Page, selector: string) =>
  page.evaluate<number>(`document.querySelectorAll(${JSON.stringify(selector)}).length`);
const shownSteps = (page: Page) =>
  page.evaluate<string[]>(
    "[...document.querySelectorAll('main > section')].filter((section) => section.checkVisibility()).map(({ id }) => id)",
  );

describe("in Chromium", () => {
  test("each step is shown alone, by its place in the URL, without an error", async () => {
    for (const [name, explanation] of Object.entries({ small: smallExplanation(), large: largeExplanation(20_000) }))
      for (const step of [...STEPS, "objects/1", `relocations/${COPY}`, "constructors/2"]) {
        using page = await opened(explanation, `#${step}`);
        expect(await shownSteps(page)).toEqual([step.split("/")[0] ?? ""]);
        if (pictures !== undefined) await page.picture(join(pictures, `page-${name}-${step.replace("/", "-")}.png`));
        expect(page.errors).toEqual([]);
      }
  });

  test("arrow keys go through steps, and through what is in them one by one", async () => {
    using page = await opened(smallExplanation());
    await page.press("ArrowRight");
    expect(await hashIn(page)).toBe("#objects");
    for (let object = 0; object < 3; object++) {
      await page.press("ArrowRight");
      expect(await hashIn(page)).toBe(`#objects/${object}`);
    }
    await page.press("ArrowRight");
    expect(await hashIn(page)).toBe("#relocations");
    await page.press("ArrowRight");
    await page.press("ArrowRight");
    expect(await hashIn(page)).toBe("#relocations/1");
    await page.press("ArrowLeft");
    expect(await hashIn(page)).toBe("#relocations/0");
    await page.press("ArrowRight", { shift: true });
    expect(await shownSteps(page)).toEqual(["constructors"]);
    await page.press("ArrowLeft");
    expect(await hashIn(page)).toBe(`#relocations/${COPY}`);
    expect(page.errors).toEqual([]);
  });

  test("buttons go from the first place to the last, and no further", async () => {
    using page = await opened(smallExplanation());
    const next = '[data-by="place"][data-to="1"]';
    const places = [];
    while (!(await page.evaluate<boolean>(`document.querySelector('${next}').disabled`))) {
      await page.click(next);
      places.push(await hashIn(page));
    }
    // five more steps, with 3 objects, 10 relocations, 3 constructors, 2 destructors
    expect(places).toHaveLength(5 + 3 + 10 + 3 + 2);
    expect(new Set(places).size).toBe(places.length);
    expect(places.at(-1)).toBe("#destructors/1");
  });

  test("going back in the browser's history goes back a step", async () => {
    using page = await opened(smallExplanation(), "#entry");
    await page.click('nav a[href="#relocations"]');
    await page.click("#rows tr:nth-child(3) a");
    expect(await hashIn(page)).toBe("#relocations/2");
    await page.evaluate(
      "new Promise((done) => { addEventListener('popstate', done, { once: true }); history.go(-2); })",
    );
    await page.painted();
    expect(await shownSteps(page)).toEqual(["entry"]);
  });

  test("a relocation that is picked says where, what and why, with an arrow from its slot", async () => {
    using page = await opened(smallExplanation(), "#relocations");
    await page.click("#rows tr:nth-child(3) td:nth-child(6)");
    expect(await hashIn(page)).toBe("#relocations/2");
    const told = await textOf(page, "#picked");
    for (const part of [
      "libgreet.so at vaddr 0x3fd0",
      "R_X86_64_JUMP_SLOT of count@COUNT_1.0",
      "*0x7ffff7fbbfd0 = 0x7ffff7fc1040",
    ])
      expect(told).toContain(part);
    expect(await textOf(page, "#picked .asked")).toBe(
      "0 main: does not have it1 libgreet.so: does not have it2 libcount.so.1: has it",
    );
    expect(await countOf(page, "#picture .object")).toBe(3);
    expect(await countOf(page, "#picture .arrow")).toBe(1);
    expect(await countOf(page, "#rows tr.here")).toBe(1);
  });

  test("where nobody has been asked, or nobody has it, that is said", async () => {
    using page = await opened(smallExplanation());
    const told: string[] = [];
    for (const index of [3, 4, 6]) {
      await page.evaluate(`location.hash = "#relocations/${index}"`);
      await page.painted();
      told.push(await textOf(page, "#picked dd:last-of-type"));
    }
    expect(told[0]).toStartWith("It has no symbol: nobody is asked. An IFUNC");
    expect(told[1]).toBe("2 libcount.so.1 has it for itself: nobody is asked. ");
    expect(told[2]).toContain("libcount.so.1: does not have itNobody defines it.");
  });

  test("the arrow ends where the value is, in the definer's segment", async () => {
    using page = await opened(smallExplanation(), "#relocations/7");
    const isWithin = await page.evaluate<boolean>(`(() => {
      const target = document.querySelector("#picture .target").getBoundingClientRect();
      const [code] = document.querySelectorAll("#picture [data-object='1'] .prot-rx");
      const { left, right, top, bottom } = code.getBoundingClientRect();
      return target.left >= left && target.right <= right && target.top >= top - 1 && target.bottom <= bottom + 1;
    })()`);
    expect(isWithin).toBeTrue();
  });

  describe("thread-local data", () => {
    /** A relocation of the second library's variable, in the first. */
    const wanting = (type: string, value: string, more: Partial<ExplainedObject> = {}) => {
      const { objects, relocations, ...rest } = smallExplanation();
      const [relocation] = relocations.filter(({ type: one }) => one === "R_X86_64_DTPMOD64");
      return {
        ...rest,
        objects: objects.map((object) => (object.index === 2 ? { ...object, ...more } : object)),
        relocations:
          relocation === undefined
            ? []
            : [{ ...relocation, object: 1, at: objects[1]?.segments[3]?.start ?? "", type, value }],
      };
    };
    const placeOf = (page: Page) =>
      page.evaluate<string[]>(`(() => {
        const { left, top } = document.querySelector("#picture .target").getBoundingClientRect();
        return [...document.querySelectorAll("#picture .segment")].filter((segment) => {
          const box = segment.getBoundingClientRect();
          return box.left <= left + 2 && left < box.right && box.top <= top + 1 && top < box.bottom;
        }).map(({ dataset, parentElement }) => parentElement.parentElement.dataset.object + " " + dataset.start);
      })()`);

    test.each([
      ["R_X86_64_DTPMOD64", "0x1", "the number of libcount.so.1’s module of thread-local data"],
      ["R_X86_64_DTPOFF64", "0x4", "so far into a thread’s block of libcount.so.1"],
      ["R_X86_64_TPOFF64", "-0xc", "so far from the thread pointer, in a thread’s block of libcount.so.1"],
    ])("of %s: the arrow ends where it begins as, and words say what the value is", async (type, value, words) => {
      const explanation = wanting(type, value);
      using page = await opened(explanation, "#relocations/0");
      expect(await placeOf(page)).toEqual([`2 ${explanation.objects[2]?.segments[3]?.start}`]);
      expect(await textOf(page, "#picture svg > text")).toContain(`${value} is no address: the arrow leads to what`);
      expect(await textOf(page, "#picked")).toContain(`= ${value}: ${words}`);
    });

    test("that is all zeroes is in no file, and no arrow leads to it", async () => {
      const tls = { module: 1, offset: 16, size: 12, image: undefined };
      using page = await opened(wanting("R_X86_64_TPOFF64", "-0xc", { tls }), "#relocations/0");
      expect([await countOf(page, "#picture .arrow"), await countOf(page, "#picture .target")]).toEqual([0, 0]);
      expect(await textOf(page, "#picture svg > text")).toStartWith("-0xc: so far from the thread pointer");
    });

    test("has nothing to do with a size, to which no arrow leads either", async () => {
      using page = await opened(wanting("R_X86_64_SIZE64", "0x4"), "#relocations/0");
      expect(await countOf(page, "#picture .arrow")).toBe(0);
      expect(await textOf(page, "#picture svg > text")).toBe("0x4: a size in bytes");
    });
  });

  test("a COPY relocation is drawn with the initial value, the copy, and the slots that lead to it", async () => {
    using page = await opened(smallExplanation(), `#relocations/${COPY}`);
    const drawn = await textOf(page, "#picture svg");
    for (const part of ["gCalled: the copy", "gCalled: initial value", "R_X86_64_COPY", "4 bytes"])
      expect(drawn).toContain(part);
    expect(await countOf(page, "#picture .copies")).toBe(1);
    // two slots, the copy, and the program's own reference
    expect(await countOf(page, "#picture .arrow")).toBe(4);
  });

  test("every relocation can be shown", async () => {
    using page = await opened(smallExplanation());
    for (let index = 0; index < 10; index++) {
      await page.evaluate(`location.hash = "#relocations/${index}"`);
      await page.painted();
      expect(await countOf(page, "#picture svg")).toBe(1);
      expect(await page.evaluate<string>("document.querySelector('#picture').innerHTML")).not.toMatch(/NaN|undefined/);
    }
    expect(page.errors).toEqual([]);
  });

  test("the table shows those that fit, and stepping keeps to them", async () => {
    using page = await opened(smallExplanation(), "#relocations");
    await page.type("#filters input", "GCALLED");
    expect(await textOf(page, "#found")).toBe("3 of 10");
    expect(await hashIn(page)).toBe("#relocations?symbol=GCALLED");
    await page.evaluate("document.activeElement.blur()");
    for (const index of [0, 5, COPY]) {
      await page.press("ArrowRight");
      expect(await hashIn(page)).toBe(`#relocations/${index}?symbol=GCALLED`);
    }
    await page.evaluate(`location.hash = "#relocations?object=1&type=R_X86_64_IRELATIVE"`);
    await page.painted();
    expect(await textOf(page, "#found")).toBe("1 of 10");
  });

  test("a key that is held down goes on for as long as it is", async () => {
    using page = await opened(largeExplanation(2000), "#relocations");
    await page.press("ArrowRight", { times: 250 });
    expect(await hashIn(page)).toBe("#relocations/249");
    expect(await textOf(page, "#where")).toBe("step 3 of 6, 250 of 2000");
    expect(page.errors).toEqual([]);
  });

  test("twenty thousand relocations are a page of a hundred at a time", async () => {
    using page = await opened(largeExplanation(20_000), "#relocations/12345");
    expect(await countOf(page, "#rows tr")).toBe(100);
    expect(await textOf(page, "#found")).toBe("12301–12400 of 20000");
    await page.click('[data-page="1"]');
    expect(await textOf(page, "#found")).toBe("12401–12500 of 20000");
    expect(await textOf(page, "#picked-title")).toStartWith("Relocation 12346");
    expect(page.errors).toEqual([]);
  });

  test("a place that is not there is the nearest that is", async () => {
    using page = await opened(smallExplanation(), "#relocations/99999?page=77&object=x");
    expect(await shownSteps(page)).toEqual(["relocations"]);
    await page.evaluate(`location.hash = "#no-such-step/%00?%%"`);
    await page.painted();
    expect(await shownSteps(page)).toEqual(["context"]);
    expect(page.errors).toEqual([]);
  });

  test("names of strangers run nothing", async () => {
    const hostile = `</script><img src=x onerror="console.error(1)"><script>console.error(2)</script>`;
    const { objects, relocations, ...rest } = smallExplanation({ program: hostile, warnings: [hostile] });
    const explanation = {
      ...rest,
      objects: objects.map((object) => ({ ...object, name: hostile, path: hostile })),
      relocations: relocations.map((relocation) => ({ ...relocation, symbol: hostile, version: hostile })),
    };
    for (const index of [2, COPY]) {
      using page = await opened(explanation, `#relocations/${index}`);
      expect(await textOf(page, "#picked")).toContain(hostile);
      expect(await countOf(page, "img")).toBe(0);
      expect(page.errors).toEqual([]);
    }
  });

  test("without scripts all steps are there, one below the other", async () => {
    using page = await opened(smallExplanation(), "", { withoutScripts: true });
    expect(await shownSteps(page)).toEqual(STEPS);
    expect(await page.evaluate<string>("document.body.innerText")).toContain("R_X86_64_COPY");
    if (pictures !== undefined) await page.picture(join(pictures, "page-without-scripts.png"));
  });

  test("nothing is wider than a narrow window, but for what can be scrolled", async () => {
    for (const explanation of [smallExplanation(), largeExplanation(2000)])
      for (const step of [...STEPS, `relocations/${COPY}`]) {
        using page = await opened(explanation, `#${step}`, { width: 400, isDark: true });
        expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(400);
        if (pictures !== undefined) await page.picture(join(pictures, `page-narrow-${step.replace("/", "-")}.png`));
      }
  });
});

// @ts-check
// One relocation in words: where, what, why.
"use strict";

/** @param {Relocations} relocations @param {Relocation} relocation */
function told(relocations, relocation) {
  const { object, at, vaddr, table, type, addend, symbol, definer, searched, resolver } = relocation;
  const code = (/** @type {string} */ text) => element("code", {}, text);
  const meaning = relocations.meaningOf(relocation);

  const where = [relocations.named(object), " at vaddr ", code(vaddr), ": address ", code(at), ` (${table})`];
  const what = [
    code(type),
    ...(symbol === undefined ? [] : [" of ", code(fullSymbol(relocation))]),
    ...(Number(addend) === 0 ? [] : [", addend ", code(addend)]),
    element("br", {}),
    ...effect(relocation).map((part, index) => (index % 2 === 0 ? part : code(part))),
    ...(meaning === undefined ? [] : [`: ${meaning}`]),
  ];
  const why = [];
  if (searched.length > 0) {
    const answers = searched.map((asked) =>
      element(
        "li",
        { class: asked.object === definer ? "hit" : undefined },
        relocations.named(asked.object),
        `: ${asked.answer}`,
      ),
    );
    why.push("Asked in this order:", element("ol", { class: "asked", tabindex: 0 }, ...answers));
  } else if (symbol === undefined) why.push("It has no symbol: nobody is asked. ");
  else if (definer !== undefined) why.push(relocations.named(definer), " has it for itself: nobody is asked. ");
  if (resolver !== undefined)
    why.push(
      "An IFUNC: a function is called, which says what variant fits this processor; the slot gets what it returns.",
    );
  if (definer === undefined && symbol !== undefined)
    why.push("Nobody defines it. A weak symbol becomes 0 then; for any other there is a warning.");

  const parts = Object.entries({ Where: where, What: what, Why: why });
  return element("dl", {}, ...parts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, ...text)]));
}

/** Text and code in turns. @param {Relocation} relocation @returns {string[]} */
function effect({ at, type, value, copied, resolver }) {
  if (copied !== undefined) return [`${copied.length} bytes are copied from `, copied.from, " to ", at];
  // the first word of a descriptor is a function, its second one the value
  if (value !== undefined && type === "R_X86_64_TLSDESC") return ["written: ", `*(${at} + 8) = ${value}`];
  if (value !== undefined) return ["written: ", `*${at} = ${value}`];
  if (resolver !== undefined) return ["written: ", `*${at} = (${resolver})()`];
  return ["nothing is written"];
}

/** Before one is picked. @param {Relocations} relocations */
function nothingPicked({ all }) {
  const text =
    all.length === 0
      ? "There are none but relative ones."
      : "Pick one in the table, or go through them with → and ←: where it is, what is written there, and why that.";
  return element("p", { class: "quiet" }, text);
}

// @ts-check
// Elements, made of text: nothing here is ever parsed as HTML.
"use strict";

/** @typedef {Record<string, string | number | undefined>} Attributes */

/** @param {string} name @param {Attributes} attributes @param {...(Node | string)} content */
function element(name, attributes, ...content) {
  return filled(document.createElement(name), attributes, content);
}

/** For pictures. @param {string} name @param {Attributes} attributes @param {...(Node | string)} content */
function drawn(name, attributes, ...content) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, content);
}

/**
 * A picture as wide as its view.
 * @param {Attributes} attributes
 * @param {[left: number, top: number, width: number, height: number]} view
 * @param {...(Node | string)} content
 */
function pictured(attributes, view, ...content) {
  const size = { viewBox: view.join(" "), width: view[2] };
  return drawn("svg", { class: "map", role: "group", ...size, ...attributes }, ...content);
}

/** @template {Element} Kind @param {Kind} made @param {Attributes} attributes @param {(Node | string)[]} content */
function filled(made, attributes, content) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined) made.setAttribute(name, String(value));
  made.append(...content);
  return made;
}

/** @param {string} id */
function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`Cannot find #${id} in the page`);
  return found;
}

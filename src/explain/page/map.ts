// Step 2's picture. The script copies its rows for step 3: the `data-` attributes hold the positions.

import { inUnits } from "../../diagnostics/units.ts";
import type { ExplainedObject, ExplainedSegment, Range } from "../explanation.ts";
import { type MapGap, type MapRow, mapLayout, ROW } from "./layout.ts";
import { html, type Markup, scrollable } from "./markup.ts";
import { protectionClass } from "./protection.ts";

const WIDTH = 900;
const STRIP = { left: 2, width: 44 };
const LABEL = 92;
const BAR = { left: 320, width: 450, top: 8, height: 24 };
const NOTE = BAR.left + BAR.width + 10;
/** In pixels. Anything thinner could not be seen or pointed at. */
const THINNEST = 2;
const LONGEST_NAME = 30;

export function memoryMap(objects: readonly ExplainedObject[]): Markup {
  const { height, rows, gaps } = mapLayout(objects);
  const map = html`<svg class="map" id="map"
    viewBox="0 -4 ${WIDTH} ${height + 8}" width="${WIDTH}" height="${height + 8}" role="group"
    aria-label="Memory map: ${objects.length} objects. The list below says the same."
    data-left="${LABEL}" data-bar="${BAR.left}" data-width="${BAR.width}" data-top="${BAR.top}" data-height="${BAR.height}"
    data-row="${ROW}">
    ${gaps.map(gapRow)}${rows.map(objectRow)}</svg>`;
  return scrollable("Memory map", map);
}

/** A name can have any length. */
function shortened(name: string): string {
  const characters = [...name];
  return characters.length <= LONGEST_NAME ? name : `${characters.slice(0, LONGEST_NAME - 1).join("")}…`;
}

const round = (pixels: number): number => Math.round(pixels * 100) / 100;

function gapRow({ bytes, y, from, to }: MapGap): Markup {
  const zigzag = `l7 -4l7 8l8 -8l8 8l7 -8l7 4`;
  return html`<g class="gap"><path d="M${STRIP.left} ${round(from + 5)}${zigzag}M${STRIP.left} ${round(to - 5)}${zigzag}"/>
    <text x="${LABEL}" y="${y + 16}" class="small">⋮ ${inUnits(bytes)} that nobody maps, not drawn</text></g>`;
}

function objectRow({ object, y, from, to }: MapRow): Markup {
  const { index, name, start, end, segments, relro } = object;
  const bytes = Number(end) - Number(start);
  const x = (address: string): number => (bytes === 0 ? 0 : ((Number(address) - Number(start)) / bytes) * BAR.width);
  const height = Math.max(0.75, to - from);
  const middle = y + BAR.top + BAR.height / 2;
  const fan = `M${STRIP.left + STRIP.width} ${round(from)}L${LABEL - 6} ${y + BAR.top}V${y + BAR.top + BAR.height}L${STRIP.left + STRIP.width} ${round(from + height)}z`;
  const bar = (range: Range) => ({
    left: round(BAR.left + x(range.start)),
    width: round(Math.max(THINNEST, x(range.end) - x(range.start))),
  });

  const segmentBar = (segment: ExplainedSegment): Markup => {
    const { left, width } = bar(segment);
    const text = html`<text x="${round(left + width / 2)}" y="${BAR.top + 16}" text-anchor="middle" class="inside">${segment.protection}</text>`;
    return html`<g><rect x="${left}" y="${BAR.top}" width="${width}" height="${BAR.height}"
      class="segment ${protectionClass(segment.protection)}${segment.offset === undefined ? " zeroes" : ""}" data-start="${segment.start}" data-end="${segment.end}"
      data-protection="${segment.protection}"><title>${told(object, segment)}</title></rect>${width > 34 ? text : ""}</g>`;
  };
  const relroBar = (range: Range): Markup => {
    const { left, width } = bar(range);
    return html`<rect x="${left}" y="${BAR.top + BAR.height - 5}" width="${width}" height="5" class="relro"><title>RELRO ${range.start}–${range.end}: read-only once relocated</title></rect>`;
  };

  return html`<g class="strip${index % 2 === 1 ? " odd" : ""}"><path d="${fan}" class="fan"/>
    <rect x="${STRIP.left}" y="${round(from)}" width="${STRIP.width}" height="${round(height)}"><title>${name}: ${inUnits(bytes)}</title></rect></g>
    <g class="object" data-object="${index}" transform="translate(0 ${y})">
    <a href="#objects/${index}"><text x="${LABEL}" y="${BAR.top + 9}" class="name">${index} ${shortened(name)}<title>${object.path}</title></text>
    <text x="${LABEL}" y="${BAR.top + 24}" class="small">${start}</text></a>
    <path d="M${BAR.left} ${middle - y}h${BAR.width}" class="line"/>
    ${segments.map(segmentBar)}${relro === undefined ? "" : relroBar(relro)}
    <text x="${NOTE}" y="${BAR.top + 16}" class="small note">${inUnits(bytes)}${object.tls === undefined ? "" : ", TLS"}</text></g>`;
}

function told(object: ExplainedObject, { start, end, protection, offset }: ExplainedSegment): string {
  const { path, loadBias, relro, tls } = object;
  const lines = [
    path,
    `${start}–${end} ${protection}, ${inUnits(Number(end) - Number(start))}`,
    offset === undefined ? "zeroes, of no file" : `from offset ${offset} of the file`,
    `load bias ${loadBias}`,
    ...(relro === undefined ? [] : [`RELRO ${relro.start}–${relro.end}`]),
    ...(tls === undefined
      ? []
      : [`TLS module ${tls.module}: ${tls.size} bytes, ${tls.offset} below the thread pointer`]),
  ];
  return lines.join(" · ");
}

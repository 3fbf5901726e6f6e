// Draws a scene: figures side by side that wrap on narrow screens. A figure has a canvas for the heat maps (crisp, and
// redrawn in place without a blank frame) under an SVG for text, lines and everything that is touched. A figure whose
// words would become too small for its screen keeps its size and scrolls sideways in a box of its own.
const NEGATIVE = [43, 127, 195], ZERO = [255, 255, 255], POSITIVE = [217, 102, 10], BROKEN = [196, 96, 143];
const SEQUENTIAL = ["440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6dcd59", "b4de2c", "fde725"]
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
const CLASSES = [NEGATIVE, POSITIVE, [10, 147, 113], [196, 96, 143], [138, 114, 0]]; // palette.SERIES
const SHAPES = { // signs of points, of about one area, around 0 0 and half a unit in size: right, down
  circle: (r) => `m${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  triangle: (r) => `m0 ${-1.25 * r}l${1.15 * r} ${2.1 * r}h${-2.3 * r}z`,
  square: (r) => `m${-0.9 * r} ${-0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  diamond: (r) => `m0 ${-1.3 * r}l${1.1 * r} ${1.3 * r}l${-1.1 * r} ${1.3 * r}l${-1.1 * r} ${-1.3 * r}z`,
  plus: (r) => `m${-0.4 * r} ${-1.2 * r}h${0.8 * r}v${0.8 * r}h${0.8 * r}v${0.8 * r}h${-0.8 * r}v${0.8 * r}h${-0.8 * r}v${-0.8 * r}h${-0.8 * r}v${-0.8 * r}h${0.8 * r}z`,
};
const SVG = "http://www.w3.org/2000/svg";
const LARGEST = 1.6, SMALLEST = 0.62, GAP = 18, ROW_GAP = 14; // of a figure's natural size; the gaps as in scene.css
const READABLE = 11; // CSS pixels: no word becomes smaller, its figure scrolls instead …
const LETTERS = 18; // … where the page's letters have so many
const SQUEEZED = 0.75; // figures that would just not fit side by side shrink this far before they wrap …
const MUCH = 1.25, TALL = 0.75; // … unless two rows, no taller than this share of their width, make them so much larger
const TITLE = 14; // of a map; as in scene.css
const FADE = 28; // CSS pixels at the edge of a figure that scrolls; as in scene.css
const NEAR = 14; // units: a curve further from the pointer is not meant
const FLOW = 800; // milliseconds in which the dashes of a flowing line move by one; as in scene.css
const memory = new WeakMap(); // what this viewer points at, kept while the data changes under it

const mix = (a, b, share) => a.map((value, i) => Math.round(value + (b[i] - value) * share));

function colour(value, map) {
  if (!Number.isFinite(value)) return BROKEN;
  if (map.s === "diverging") {
    const share = Math.min(1, Math.abs(value) / (map.hi || 1));
    return mix(ZERO, value < 0 ? NEGATIVE : POSITIVE, share);
  }
  if (map.s === "classes") return mix(ZERO, CLASSES[Math.floor(value) % CLASSES.length], value - Math.floor(value));
  const share = Math.min(1, Math.max(0, (value - map.lo) / (map.hi - map.lo || 1)));
  if (map.s === "gray") return mix([0, 0, 0], [255, 255, 255], share);
  const at = share * (SEQUENTIAL.length - 1), low = Math.min(Math.floor(at), SEQUENTIAL.length - 2);
  return mix(SEQUENTIAL[low], SEQUENTIAL[low + 1], at - low);
}

function widen(bits) { // a 16-bit float: sign, 5 bits of exponent, 10 of fraction
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

export function readable(ground) { // black or white, whichever stands out more: at least 4.5 to 1
  const [red, green, blue] = ground.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

function values(map) {
  if (!map.values) {
    const bytes = Uint8Array.from(atob(map.d), (letter) => letter.charCodeAt(0));
    map.values = map.half ? Float32Array.from(new Uint16Array(bytes.buffer), widen) : new Float32Array(bytes.buffer);
  }
  return map.values;
}

function expand(item) { // many maps sent as one item, each by itself again
  if (item.t !== "maps") return [item];
  const all = values(item), cells = item.r * item.c;
  return Array.from({ length: item.k }, (_, i) => ({ ...item, t: "map", n: `${item.n}${i}`,
    values: all.subarray(i * cells, (i + 1) * cells), label: item.label && `${item.label} ${i + 1}`,
    x: item.x + (i % item.across) * item.step, y: item.y + Math.floor(i / item.across) * item.step,
    links: item.links?.map(([to, ...window]) => [to.replace("#", i), ...window]) }));
}

export function digits(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const text = Number.isInteger(value) && size < 1e5 ? String(value) : size >= 1e5 || size < 1e-4 ? value.toExponential(1)
    : size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toFixed(3);
  return text.replace("-", "−");
}

function paint(context, map, scale) {
  const cells = values(map), pixels = context.createImageData(map.c, map.r);
  for (let i = 0; i < cells.length; i++) {
    const [red, green, blue] = colour(cells[i], map);
    pixels.data.set([red, green, blue, 255], 4 * i);
  }
  const small = new OffscreenCanvas(map.c, map.r);
  small.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = Boolean(map.smooth);
  context.drawImage(small, map.x * scale, map.y * scale, map.w * scale, map.h * scale);
  const cell = map.w / map.c;
  if (cell >= 9 && !map.smooth) {
    context.strokeStyle = "rgba(125,136,148,.45)";
    context.lineWidth = Math.max(1, scale / 2);
    context.beginPath();
    for (let c = 1; c < map.c; c++) {
      const x = Math.round((map.x + c * cell) * scale);
      context.moveTo(x, map.y * scale); context.lineTo(x, (map.y + map.h) * scale);
    }
    for (let r = 1; r < map.r; r++) {
      const y = Math.round((map.y + (r * map.h) / map.r) * scale);
      context.moveTo(map.x * scale, y); context.lineTo((map.x + map.w) * scale, y);
    }
    context.stroke();
  }
}

function add(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function box(map, top, left, height, width) { // a rectangle of cells, clipped to the map
  const cw = map.w / map.c, ch = map.h / map.r;
  const x0 = Math.max(0, left), y0 = Math.max(0, top);
  const x1 = Math.min(map.c, left + width), y1 = Math.min(map.r, top + height);
  return x1 > x0 && y1 > y0
    ? { x: map.x + x0 * cw, y: map.y + y0 * ch, width: (x1 - x0) * cw, height: (y1 - y0) * ch } : null;
}

function frameOf(layer, rect, kind) {
  return rect ? ["halo", kind].map((name) => add(layer, "rect", { ...rect, class: name })) : [];
}

function targets(view, to) { // the maps of the scene that a link names; "p1*" names all whose names begin with p1
  const meant = (name) => (to.endsWith("*") ? name.startsWith(to.slice(0, -1)) : name === to);
  const found = view.together.flatMap((other) => Object.values(other.maps).filter((map) => meant(map.n)).map((map) => [other, map]));
  return to.endsWith("*") ? found : found.slice(0, 1);
}

function beside(view, left) { // the tip, where it can be seen
  const seen = view.wide ? view.pan.scrollLeft : 0;
  const room = seen + (view.wide ? view.pan.clientWidth : view.figure.w * view.scale) - view.tip.offsetWidth;
  view.tip.style.left = `${Math.max(seen, Math.min(left, room))}px`;
}

function told(map, row, column, words) { // a cell in words: where it is, and its value
  const value = values(map)[row * map.c + column];
  if (!map.plane) return `${words[0]} ${row + 1}, ${words[1]} ${column + 1}: ${digits(value)}`;
  const { across, up, times, plus, names } = map.plane, at = ([low, high], share) => (low + (high - low) * share).toFixed(1).replace("-", "−");
  return `(${at(across, (column + 0.5) / map.c)}, ${at(up, 1 - (row + 0.5) / map.r)}): ${names ? names.at(Math.floor(value)) : digits(Number((value * times + plus).toPrecision(3)))}`;
}

function nearest(area, x, y) { // of the curves (height at the left, at the right, value) that cross an area from side to side
  const ends = area.ends ??= values({ d: area.curves, half: true });
  let low = 0, high = 1;
  for (let i = 0; i < 20; i++) { // where along a curve its x is reached
    const at = (low + high) / 2;
    if (1.5 * at * (1 - at) + at ** 3 < x / area.w) low = at; else high = at;
  }
  const bent = 3 * low ** 2 - 2 * low ** 3;
  let best = null, least = NEAR;
  for (let i = 0; i + 2 < ends.length; i += 3) {
    const far = Math.abs(ends[i] + (ends[i + 1] - ends[i]) * bent - y);
    if (far < least) [best, least] = [i, far];
  }
  return best === null ? null : { from: ends[best], to: ends[best + 1], value: ends[best + 2] };
}

function follow(view, area, event) { // the curve that is pointed at: brought out, with its value
  const { x: across, y: down } = new DOMPoint(event.clientX, event.clientY).matrixTransform(view.svg.getScreenCTM().inverse());
  const found = nearest(area, across - area.x, down);
  view.marks.forEach((mark) => mark.remove());
  view.marks = [];
  view.tip.hidden = !found;
  if (!found) return;
  const d = `M${area.x} ${found.from}c${area.w / 2} 0 ${area.w / 2} ${found.to - found.from} ${area.w} ${found.to - found.from}`;
  view.marks.push(...["halo", "chosen"].map((name) => add(view.layer, "path", { d, class: name })));
  view.tip.textContent = digits(Number(found.value.toPrecision(3)));
  beside(view, across * view.scale + 12);
  view.tip.style.top = `${down * view.scale - 34}px`;
}

function magnify(state, wanted) { // the small map of what is pointed at, large in the place of another; null: as it was
  if (String(wanted) === String(state.peek)) return;
  const before = state.peek;
  state.peek = wanted;
  for (const [, over] of [before, wanted].filter(Boolean)) lens(state, over);
}

function lens(state, over) {
  const view = state.views.find((each) => over in each.maps);
  if (!view) return;
  const place = view.maps[over], [name, , words, times] = state.peek ?? [];
  const small = state.views.map((each) => each.maps[name]).find(Boolean);
  const context = view.canvas.getContext("2d"), density = view.canvas.width / view.figure.w;
  paint(context, small ? { ...small, x: place.x, y: place.y, w: place.w, h: place.h, hi: small.hi * times, smooth: true } : place, density);
  if (!small) { highlight(view); return; }
  view.tip.hidden = false;
  view.tip.textContent = words;
  beside(view, (place.x + 6) * view.scale);
  view.tip.style.top = `${(place.y + 6) * view.scale}px`;
}

function highlight(view) { // the cell pointed at, its window in every linked map of the scene, and its value
  const { maps, data } = view, point = view.hover ?? view.pinned;
  view.marks.forEach((mark) => mark.remove());
  view.marks = [];
  view.tip.hidden = true;
  if (!point || !maps[point.map]) return;
  const focused = view.element.getRootNode().activeElement?.getAttribute?.("data-map") === point.map;
  const { hover, plane } = maps[point.map];
  if (!view.hover && !focused && (plane || (!hover && !data.pinned))) return; // it shows what was picked by itself
  const map = maps[point.map], row = Math.min(point.row, map.r - 1), column = Math.min(point.column, map.c - 1);
  const chosen = box(map, row, column, 1, 1);
  view.marks.push(...frameOf(view.layer, chosen, "chosen"));
  for (const [to, top, left, down, right, height, width, wrap, spans] of map.links ?? []) { // a Link of scene.py
    for (const [there, target] of targets(view, to)) {
      const window = spans?.length
        ? box(target, spans[row][0], spans[column][0], spans[row][1] - spans[row][0], spans[column][1] - spans[column][0])
        : box(target, top + row * down, left + column * right + row * wrap, height, width);
      view.marks.push(...frameOf(there.layer, window, "window"));
    }
  }
  view.tip.textContent = told(map, row, column, data.cell);
  const elsewhere = map.show || (map.pick && data.pinned && !map.links); // what was picked, or printed, is told elsewhere
  view.tip.hidden = !map.hover || (Boolean(elsewhere) && !view.hover);
  beside(view, (chosen.x + chosen.width) * view.scale + 6);
  view.tip.style.top = `${chosen.y * view.scale - 30}px`;
}

function touch(view, map, node, component) {
  const cellAt = (event) => {
    const rect = node.getBoundingClientRect();
    return { map: map.n,
      row: Math.max(0, Math.min(map.r - 1, Math.floor(((event.clientY - rect.top) / rect.height) * map.r))),
      column: Math.max(0, Math.min(map.c - 1, Math.floor(((event.clientX - rect.left) / rect.width) * map.c))) };
  };
  const pick = (cell) => {
    if (!view.data.pinned) view.together.forEach((other) => { other.pinned = null; highlight(other); });
    view.pinned = cell;
    if (map.pick) component.setTriggerValue("cell", [cell.map, cell.row, cell.column]);
  };
  node.onpointermove = (event) => {
    if (map.curves) { follow(view, map, event); return; }
    view.hover = cellAt(event);
    highlight(view);
  };
  node.onpointerleave = () => { view.hover = null; highlight(view); };
  node.onclick = (event) => {
    const cell = cellAt(event), old = view.pinned;
    const same = old && old.map === cell.map && old.row === cell.row && old.column === cell.column;
    if (same && !map.pick) view.pinned = null; else pick(cell);
    highlight(view);
  };
  node.onkeydown = (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Escape") { view.pinned = null; highlight(view); return; }
    if (!move) return;
    event.preventDefault();
    const from = view.pinned?.map === map.n ? view.pinned : { row: -move[0], column: -move[1] };
    pick({ map: map.n, row: Math.max(0, Math.min(map.r - 1, from.row + move[0])),
      column: Math.max(0, Math.min(map.c - 1, from.column + move[1])) });
    reveal(view, map, view.pinned.column);
    highlight(view);
  };
}

function reveal(view, map, column) { // what the arrow keys have come to is in view
  if (!view.wide) return;
  const { pan, scale } = view, cell = (map.w / map.c) * scale, left = map.x * scale + column * cell;
  pan.scrollLeft = Math.max(left + cell + FADE - pan.clientWidth, Math.min(left - FADE, pan.scrollLeft));
}

const WORDS = { blue: "var(--blue)", orange: "var(--orange)", primary: "var(--st-link-color)" }; // thin strokes need more contrast

function ink(role) {
  return { text: "var(--st-text-color)", muted: "var(--muted)", blue: "#2b7fc3", orange: "#d9660a",
    line: "var(--st-border-color)", primary: "var(--st-primary-color)", background: "var(--st-background-color)",
    panel: "var(--st-secondary-background-color)", none: "none" }[role] ?? role;
}

function walk(view, node, item) { // once for each way: a frame that shows it again lets it go on from where it was
  const way = JSON.stringify([item.x, item.y, item.way]), { x: left = 0, y: top = 0 } = item;
  if (!item.seconds || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const began = view.before?.get(way) ?? performance.now(), passed = performance.now() - began;
  view.walks.set(way, began);
  if (passed >= 1000 * item.seconds) return;
  const steps = item.way.map(([x, y, turn = 0]) => ({ transform: `translate(${x - left}px, ${y - top}px) rotate(${turn}deg)` }));
  node.animate(steps, { duration: 1000 * item.seconds }).currentTime = passed;
}

function heldUp(view, items) { // what moves is not cut off by a newer frame: it comes to its end first
  const fresh = items.filter((item) => item.hold), now = performance.now();
  const until = now + 1000 * Math.max(0, ...fresh.map((item) => item.seconds ?? 0));
  const still = !fresh.length || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (still || view.held?.of !== fresh[0].hold || now >= view.held.until) {
    view.held = still ? null : { of: fresh[0].hold, items: fresh, until };
    return items;
  }
  const first = items.indexOf(fresh[0]);
  return [...items.slice(0, first), ...view.held.items, ...items.slice(first).filter((item) => !item.hold)];
}

const sizeOfNumbers = (map) => Math.min(17, (map.h / map.r) * 0.42, (map.w / map.c) * 0.32);

function smallestWords(figure) { // in units; Infinity where there are none
  let smallest = Infinity;
  for (const item of figure.items) {
    if (item.t === "text" && item.ink !== "none") smallest = Math.min(smallest, item.size);
    if (item.t === "map" && item.title) smallest = Math.min(smallest, TITLE);
    if (item.t === "map" && item.show) smallest = Math.min(smallest, sizeOfNumbers(item));
  }
  return smallest;
}

function drawFigure(view, component) {
  const { figure, canvas, svg, data } = view;
  const density = Math.max(2, globalThis.devicePixelRatio || 1);
  const width = Math.round(figure.w * density), height = Math.round(figure.h * density);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  svg.setAttribute("viewBox", `0 0 ${figure.w} ${figure.h}`);
  const active = component.parentElement.getRootNode().activeElement;
  const focused = ["data-map", "data-stay"].map((name) => active?.getAttribute?.(name)).find(Boolean);
  svg.replaceChildren();
  view.maps = {};
  [view.before, view.walks] = [view.walks, new Map()];
  const defs = add(svg, "defs", {});
  for (const item of heldUp(view, figure.items.flatMap(expand))) {
    if (item.t === "map") {
      view.maps[item.n] = item;
      paint(context, item, density);
      add(svg, "rect", { x: item.x, y: item.y, width: item.w, height: item.h, class: "edge" });
      if (item.title) add(svg, "text", { x: item.x, y: item.y - 7, class: "title" }, item.title);
      if (item.show) {
        const cw = item.w / item.c, ch = item.h / item.r, size = sizeOfNumbers(item);
        values(item).forEach((value, i) => {
          add(svg, "text", { x: item.x + ((i % item.c) + 0.5) * cw, y: item.y + (Math.floor(i / item.c) + 0.5) * ch,
            "font-size": size, class: "number", fill: readable(colour(value, item)),
          }, digits(value));
        });
      }
    } else if (item.t === "text") {
      const node = add(svg, "text", { x: item.x, y: item.y, "font-size": item.size, "text-anchor": item.anchor,
        fill: WORDS[item.ink] ?? ink(item.ink), "font-weight": item.bold ? 650 : undefined, class: item.mono ? "mono" : undefined }, item.s);
      if (item.turn) node.setAttribute("transform", `rotate(${item.turn} ${item.x} ${item.y})`);
    } else if (item.t === "line") {
      const node = add(svg, "line", { x1: item.x1, y1: item.y1, x2: item.x2, y2: item.y2, stroke: ink(item.ink), opacity: item.opacity,
        "stroke-width": item.width, "stroke-dasharray": item.dash, "stroke-linecap": item.flow ? "butt" : "round", class: item.flow ? "flow" : undefined });
      if (item.flow) node.style.animationDelay = `${-(performance.now() % FLOW)}ms`; // a new frame goes on where the last one was
      if (item.arrow) {
        const angle = Math.atan2(item.y2 - item.y1, item.x2 - item.x1), size = 5 + 1.6 * item.width;
        const corner = (turn) => `${item.x2 - size * Math.cos(angle + turn)},${item.y2 - size * Math.sin(angle + turn)}`;
        add(svg, "polygon", { points: `${item.x2},${item.y2} ${corner(0.45)} ${corner(-0.45)}`, fill: ink(item.ink), opacity: item.opacity });
      }
    } else if (item.t === "rect") {
      const node = add(svg, "rect", { x: item.x, y: item.y, width: item.w, height: item.h, rx: item.round,
        fill: ink(item.fill), "fill-opacity": item.opacity, stroke: ink(item.ink), "stroke-width": item.width,
        "stroke-dasharray": item.dash });
      if (item.hatch) {
        const id = `hatch${svg.childElementCount}`;
        const pattern = add(defs, "pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
        add(pattern, "rect", { width: 7, height: 7, fill: "var(--st-background-color)", "fill-opacity": 0.55 });
        add(pattern, "line", { x1: 0, y1: 0, x2: 0, y2: 7, stroke: "#c4608f", "stroke-width": 3 });
        node.setAttribute("fill", `url(#${id})`);
      }
      node.peek = item.peek;
      if (item.go) {
        Object.entries({ class: "go", tabindex: 0, role: "link", "aria-label": item.label, "data-go": item.go, "data-stay": item.stay ?? item.go }).forEach(([k, v]) => node.setAttribute(k, v));
        node.onclick = () => component.setTriggerValue("go", item.go);
        node.onkeydown = (event) => { if (event.key === "Enter") component.setTriggerValue("go", item.go); };
      }
    } else if (item.t === "circle") {
      const node = add(svg, "circle", { cx: item.x, cy: item.y, r: item.r, fill: ink(item.fill), stroke: ink(item.ink), "stroke-width": item.width });
      if (item.way) walk(view, node, item);
    } else if (item.t === "points") {
      const places = values(item), shape = SHAPES[item.sign](item.size);
      let d = "";
      for (let i = 0; i < places.length; i += 2) d += `M${places[i]} ${places[i + 1]}${shape}`;
      add(svg, "path", { d, fill: ink(item.fill), stroke: ink(item.ink), "stroke-width": item.width, "pointer-events": "none" });
    } else if (item.t === "area") {
      const node = add(svg, "rect", { x: item.x, y: item.y, width: item.w, height: item.h, class: "area" });
      touch(view, item, node, component);
    } else if (item.t === "path") {
      const node = add(svg, "path", { d: item.d, fill: ink(item.fill), stroke: ink(item.ink), "stroke-width": item.width,
        "stroke-dasharray": item.dash, "stroke-linejoin": "round", opacity: item.opacity });
      if (item.way) {
        const [x, y, turn] = item.way.at(-1);
        node.setAttribute("transform", `translate(${x} ${y}) rotate(${turn})`);
        walk(view, node, item);
      }
    }
  }
  view.layer = add(svg, "g", { "pointer-events": "none" });
  for (const map of Object.values(view.maps)) {
    if (!map.links && !map.pick && !map.hover) continue;
    const live = map.links || map.pick;
    const node = add(svg, "rect", { x: map.x, y: map.y, width: map.w, height: map.h, class: live ? "touch" : "hoverable",
      "data-map": map.n, tabindex: live ? 0 : undefined, role: live ? "button" : undefined, "aria-label": live ? map.label ?? map.title ?? map.n : undefined });
    touch(view, map, node, component);
  }
  if (focused) svg.querySelector(`[data-map="${focused}"], [data-stay="${focused}"]`)?.focus({ preventScroll: true });
  if (data.pinned) { // the page keeps what is pinned: there and nowhere else
    const [map, row, column] = data.pinned;
    view.pinned = map in view.maps ? { map, row, column } : null;
  }
}

// On a projector the page has larger letters, and so have its pictures.
const readableSize = () => (READABLE * parseFloat(getComputedStyle(document.documentElement).fontSize)) / LETTERS;

function layOut(root, views) {
  const space = root.clientWidth - 1; // it is rounded, and a figure too wide by a fraction of a pixel wraps
  if (space <= 0) return;
  const widest = Math.max(...views.map((view) => view.figure.w));
  const together = views.reduce((sum, view) => sum + view.figure.w, 0);
  const gaps = GAP * (views.length - 1);
  const inOneRow = (space - gaps) / together, least = Math.min(LARGEST, readableSize() / Math.min(...views.map((view) => view.smallest)));
  const most = Math.max(1, Math.floor((space + GAP) / (widest * Math.max(1, least) + GAP)));
  const perRow = Math.ceil(views.length / Math.ceil(views.length / most)); // four stand two by two, not three and one
  const alike = views.length > 1 && views.every((view) => view.figure.w === widest); // such figures fill their rows
  const wrapped = alike ? (space - GAP * (perRow - 1)) / (perRow * widest) : Math.min(1, space / widest);
  const larger = inOneRow < 1 && !alike ? inRows(space, views) : 0;
  const usual = inOneRow < Math.max(SQUEEZED, least) ? wrapped : inOneRow, fitting = larger > MUCH * usual ? larger : usual;
  const scale = Math.min(LARGEST, Math.max(SMALLEST, least, fitting));
  for (const view of views) {
    const width = Math.floor(view.figure.w * scale * 100) / 100;
    view.scale = scale;
    view.wide = width > space + 1;
    view.element.classList.toggle("wide", view.wide);
    view.element.style.width = `${Math.min(width, space)}px`;
    view.sheet.style.width = `${width}px`;
    view.sheet.style.height = `${view.figure.h * scale}px`;
    const means = { tabindex: 0, role: "group", "aria-label": view.data.pan };
    Object.entries(means).forEach(([name, value]) => (view.wide ? view.pan.setAttribute(name, value) : view.pan.removeAttribute(name)));
    hint(view);
  }
}

function inRows(space, views) { // the scale at which figures fill two rows that are not too tall; 0 where they do not
  const row = (some) => [(space - GAP * (some.length - 1)) / some.reduce((sum, view) => sum + view.figure.w, 0),
    Math.max(...some.map((view) => view.figure.h))];
  let best = 0;
  for (let first = 1; first < views.length; first++) {
    const [[above, high], [below, low]] = [row(views.slice(0, first)), row(views.slice(first))];
    const scale = Math.min(LARGEST, above, below, (TALL * space - ROW_GAP) / (high + low));
    if (scale * (views.slice(0, first + 1).reduce((sum, view) => sum + view.figure.w, 0)) + GAP * first > space) best = Math.max(best, scale);
  }
  return best;
}

function hint(view) { // its edge fades where there is more of it
  const { pan } = view, left = pan.scrollLeft, right = pan.scrollWidth - pan.clientWidth - left;
  view.element.dataset.more = view.wide ? `${left > 1 ? "left" : ""} ${right > 1 ? "right" : ""}` : "";
}

const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
  "opacity", "font-family", "font-size", "font-weight", "text-anchor", "dominant-baseline"];

function copyLook(from, to) { // what the style sheet gives a node, written onto its copy
  const look = getComputedStyle(from);
  for (const name of KEPT) to.style.setProperty(name, look.getPropertyValue(name));
  [...from.children].forEach((child, i) => copyLook(child, to.children[i]));
}

function asFile(root, views) { // the whole scene as one SVG that needs nothing else, its heat maps as pictures in it
  const frame = root.getBoundingClientRect(), svg = document.createElementNS(SVG, "svg");
  let width = 0, height = 0;
  const ground = add(svg, "rect", { fill: getComputedStyle(root).getPropertyValue("--st-background-color") || "#fff" });
  for (const view of views) {
    const place = view.element.getBoundingClientRect();
    const x = place.left - frame.left + 12, y = place.top - frame.top + 12;
    const group = add(svg, "g", { transform: `translate(${x} ${y}) scale(${view.scale})` });
    add(group, "image", { href: view.canvas.toDataURL(), width: view.figure.w, height: view.figure.h });
    const copy = view.svg.cloneNode(true);
    copyLook(view.svg, copy);
    group.append(...copy.childNodes);
    width = Math.max(width, x + view.figure.w * view.scale + 12);
    height = Math.max(height, y + view.figure.h * view.scale + 12);
  }
  Object.entries({ xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}` }).forEach(([k, v]) => svg.setAttribute(k, v));
  ground.setAttribute("width", width);
  ground.setAttribute("height", height);
  return { text: new XMLSerializer().serializeToString(svg), width, height };
}

function offer(blob, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${document.title.split("·")[0].trim() || "picture"}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function save(root, views, kind) {
  const file = asFile(root, views), blob = new Blob([file.text], { type: "image/svg+xml" });
  if (kind === "svg") { offer(blob, "svg"); return; }
  const image = new Image(), address = URL.createObjectURL(blob);
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = 2 * file.width; canvas.height = 2 * file.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    canvas.toBlob((png) => offer(png, "png"), "image/png");
  };
  image.src = address;
}

export default function ({ data }) { // a run brings this code; a browser that has it keeps it, and what it remembers
  if (globalThis.scenes?.version === data.version) return;
  const waiting = globalThis.scenes?.waiting ?? new Map();
  globalThis.scenes = { version: data.version, style: data.style, show, forget, waiting: new Map() };
  waiting.forEach(show);
}

const rootOf = (component) => component.parentElement.querySelector(".scene");

function forget(component) {
  memory.get(rootOf(component))?.observer.disconnect();
}

function show(component) {
  const { parentElement } = component, data = component.data?.scene;
  const root = rootOf(component);
  if (!root || !data) return;
  root.setAttribute("aria-label", data.alt);
  for (const button of parentElement.querySelectorAll(".tools button")) {
    button.setAttribute("aria-label", `${button.textContent}: ${data.save}`);
    button.onclick = () => save(root, memory.get(root).views, button.textContent.toLowerCase());
  }
  let state = memory.get(root);
  if (!state) {
    root.replaceChildren();
    const style = document.createElement("style");
    style.textContent = globalThis.scenes.style;
    root.before(style);
    state = { views: [] };
    state.observer = new ResizeObserver(() => { layOut(root, state.views); state.views.forEach(highlight); });
    state.observer.observe(root);
    memory.set(root, state);
  }
  parentElement.querySelector(".tools").hidden = !data.save;
  state.draw = () => draw(root, state, component);
  root.onpointerdown = () => { state.held = true; };
  root.onpointerup = root.onpointercancel = () => release(state);
  root.onpointerleave = () => { release(state); magnify(state, null); };
  root.onpointermove = root.onfocusin = (event) => magnify(state, event.target.peek ?? null);
  root.onfocusout = () => magnify(state, null);
  if (state.held) state.waiting = true; else state.draw();
}

function release(state) { // a click is one only if what was pressed is still there when it is let go: so nothing is drawn between
  if (!state.held) return;
  setTimeout(() => {
    state.held = false;
    if (state.waiting) state.draw();
    state.waiting = false;
  }, 50);
}

function draw(root, state, component) {
  const data = component.data.scene;
  while (state.views.length > data.figures.length) state.views.pop().element.remove();
  while (state.views.length < data.figures.length) {
    const element = document.createElement("div");
    element.className = "figure";
    element.innerHTML = '<div class="pan"><div class="sheet"><canvas></canvas><svg></svg><output hidden></output></div></div>';
    root.append(element);
    const pan = element.firstChild, sheet = pan.firstChild, [canvas, svg, tip] = sheet.children;
    const view = { element, pan, sheet, canvas, svg, tip, hover: null, pinned: null, maps: {}, marks: [], together: state.views };
    pan.onscroll = () => hint(view);
    state.views.push(view);
  }
  state.views.forEach((view, i) => Object.assign(view, { figure: data.figures[i], data, smallest: smallestWords(data.figures[i]) }));
  layOut(root, state.views);
  state.views.forEach((view) => drawFigure(view, component));
  state.views.forEach(highlight);
  if (state.peek) lens(state, state.peek[1]);
}

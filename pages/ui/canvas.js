// A drawing pad: a finished stroke goes to the server at once; the drawing itself lives here and survives every rerun.
const pads = new WeakMap(); // canvas → its strokes and what goes on with it

function paint(pad) {
  const { canvas, strokes, data } = pad;
  const side = Math.round((canvas.clientWidth || 290) * Math.max(1, globalThis.devicePixelRatio || 1));
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"), scale = side / data.extent;
  context.clearRect(0, 0, side, side);
  for (const button of [pad.undo, pad.clear]) button.setAttribute("aria-disabled", !strokes.length); // the focus stays
  if (!strokes.length) {
    context.font = `${side * 0.058}px sans-serif`;
    context.textAlign = "center";
    context.fillStyle = "#9aa5b1";
    context.fillText(data.label, side / 2, side / 2);
  }
  context.strokeStyle = context.fillStyle = "#fff";
  context.lineWidth = data.pen * scale;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0] * scale, stroke[1] * scale);
    for (let i = 0; i < stroke.length; i += 2) context.lineTo(stroke[i] * scale, stroke[i + 1] * scale + (stroke.length === 2 ? 0.01 : 0)); // a dot
    context.stroke();
  }
}

function listen(pad) {
  const { canvas } = pad;
  const place = (event) => {
    const rect = canvas.getBoundingClientRect(), extent = pad.data.extent;
    return [(event.clientX - rect.left) / rect.width, (event.clientY - rect.top) / rect.height] // outside of it, too
      .map((share) => Math.round(Math.min(2, Math.max(-1, share)) * extent));
  };
  canvas.onpointerdown = (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    pad.stroke = place(event);
    pad.strokes = [...pad.strokes, pad.stroke];
    paint(pad);
  };
  canvas.onpointermove = (event) => {
    if (!pad.stroke) return;
    const [x, y] = place(event), [lastX, lastY] = pad.stroke.slice(-2);
    if (Math.hypot(x - lastX, y - lastY) < 3) return;
    pad.stroke.push(x, y);
    paint(pad);
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (!pad.stroke) return;
    pad.stroke = null;
    pad.component.setStateValue("strokes", pad.strokes);
  };
}

export default function (component) {
  const { data, parentElement } = component;
  const canvas = parentElement.querySelector("canvas"), [undo, clear] = parentElement.querySelectorAll("button");
  if (!canvas || !data) return;
  let pad = pads.get(canvas);
  if (!pad) {
    pad = { canvas, undo, clear, strokes: data.strokes ?? [], stroke: null };
    pads.set(canvas, pad);
    listen(pad);
    new ResizeObserver(() => paint(pad)).observe(canvas);
  }
  pad.component = component;
  pad.data = data;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", data.label);
  const keep = (strokes) => {
    if (!pad.strokes.length) return;
    pad.strokes = strokes;
    paint(pad);
    component.setStateValue("strokes", strokes);
  };
  undo.textContent = data.undo;
  undo.onclick = () => keep(pad.strokes.slice(0, -1));
  clear.textContent = data.clear;
  clear.onclick = () => keep([]);
  paint(pad);
}

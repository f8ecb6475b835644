
// ---- curves as paths ----------------------------------------------------------------------------

const FEW = 15; // lines with at most so many points show each as a dot, as in the drawing
const BAR = 0.62; // width of a bar, as a share of the distance between bars

/** A curve with typed columns: what is absent is NaN, absent limits are the value. */
const prepare = (curve, index) => {
  const column = (values) => Float64Array.from(curve.x, (_, i) => values?.[i] ?? NaN);
  const y = column(curve.y);
  const or = (values) => values.map((value, i) => (Number.isNaN(value) ? y[i] : value));
  return {
    ...curve, index, y, low: or(column(curve.low)), high: or(column(curve.high)), std: column(curve.std), n: column(curve.n),
    // The axis of bars names them: each has the place of its curve.
    x: curve.mark === "bars" ? Float64Array.from(curve.x, () => index) : column(curve.x),
    diverged: column(curve.diverged), runs: (curve.runs ?? []).map(({ name, y }) => ({ name, y: column(y) })),
    name: curve.label.trim() || `curve ${index + 1}`,
  };
};

const circle = (x, y, r) => `M${px(x - r)} ${px(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
const polygon = (x, y, r, corners) => `M${corners.map(([dx, dy]) => `${px(x + r * dx)} ${px(y + r * dy)}`).join("L")}Z`;
const SHAPES = {
  square: [[-0.89, -0.89], [0.89, -0.89], [0.89, 0.89], [-0.89, 0.89]],
  diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  triangle: [[0, -1.3], [1.25, 0.85], [-1.25, 0.85]],
  down: [[0, 1], [-1, -0.6], [1, -0.6]],
  left: [[-1, 0], [0.6, -1], [0.6, 1]],
};
const marker = (curve, x, y, r) => (SHAPES[curve.marker] ? polygon(x, y, r, SHAPES[curve.marker]) : circle(x, y, r));
const cross = (x, y, r) => `M${px(x - r)} ${px(y - r)}l${2 * r} ${2 * r}m${-2 * r} 0l${2 * r} ${-2 * r}`;
const whisker = (x, low, high) =>
  Math.abs(low - high) < 0.5 ? "" : `M${px(x - 3)} ${px(low)}h6M${px(x - 3)} ${px(high)}h6M${px(x)} ${px(low)}V${px(high)}`;

/** The stretches of neighbouring points without a gap. */
const stretches = (points) => {
  const all = [[]];
  for (const point of points) {
    if (Number.isFinite(point.x + point.y)) all.at(-1).push(point);
    else if (all.at(-1).length) all.push([]);
  }
  return all.filter((stretch) => stretch.length);
};

const line = (points, key = "y") => points.map((point) => `${px(point.x)} ${px(point[key])}`).join("L");

/** Draws a curve: { below, above } are its paths under and over those of other curves, and `points` what can be pointed at. */
const drawCurve = (curve, across, up, eachRun) => {
  const [below, above] = [[], []];
  const part = (name, attributes, list = above) =>
    list.push(svg("path", { "data-curve": curve.index, "data-part": name, fill: "none", ...attributes }));
  // The part of a band that a logarithmic axis cannot show ends where the axis does.
  const reach = (value, mean) => (up.log && !(value > 0) && mean > 0 ? up.from : up.at(value));
  const points = Array.from(curve.x, (x, i) => ({
    i, x: across.at(x), y: up.at(curve.y[i]), low: reach(curve.low[i], curve.y[i]), high: up.at(curve.high[i]),
  }));
  const good = points.filter((point) => Number.isFinite(point.x + point.y));
  const stroke = { stroke: curve.colour, "stroke-width": "1.7", "stroke-linejoin": "round" };
  const dash = curve.dash ? { "stroke-dasharray": curve.dash } : {};
  const dots = (list, r) => part("dots", { d: list.map((p) => marker(curve, p.x, p.y, r)).join(""), fill: curve.colour });
  const errors = (look) => part("errors", { d: good.map((p) => whisker(p.x, p.low, p.high)).join(""), ...look });
  const isLine = curve.mark === "line" || curve.mark === "path";
  if (curve.mark === "bars") {
    const half = (BAR * Math.abs(across.at(1) - across.at(0))) / 2;
    const foot = up.log ? up.from : up.at(0);
    for (const point of good) Object.assign(point, { half, foot });
    const bar = (p) => `M${px(p.x - half)} ${px(foot)}V${px(p.y)}h${px(2 * half)}V${px(foot)}Z`;
    part("bars", { d: good.map(bar).join(""), fill: curve.colour, "fill-opacity": "0.8" });
    if (!eachRun) errors({ stroke: "#222222" });
  }
  if (eachRun && curve.runs.length) {
    curve.runs.forEach((run, r) => {
      const own = points.map((point) => ({ ...point, y: up.at(run.y[point.i]) }));
      const name = { "data-run": r };
      const marks = isLine && own.length > FEW ? stretches(own).filter((s) => s.length === 1).flat() : own.filter((p) => Number.isFinite(p.x + p.y));
      if (isLine) part("run", { d: stretches(own).map((s) => `M${line(s)}`).join(""), ...stroke, "stroke-width": "1.1", ...dash, ...name });
      const look = curve.mark === "bars" ? { fill: "#ffffff", stroke: "#222222" } : { fill: curve.colour };
      part("run-dots", { d: marks.map((p) => marker(curve, p.x, p.y, 2)).join(""), ...look, ...name });
    });
  } else if (isLine) {
    const all = stretches(points);
    if (curve.mark === "line") {
      const band = all.map((s) => `M${line(s, "high")}L${line([...s].reverse(), "low")}Z`);
      part("band", { d: band.join(""), fill: curve.colour, "fill-opacity": "0.2" }, below);
    }
    part("line", { d: all.map((s) => `M${line(s)}`).join(""), ...stroke, ...dash });
    dots(curve.mark === "path" || good.length <= FEW ? good : all.filter((s) => s.length === 1).flat(), 2.4);
  } else if (curve.mark !== "bars") {
    if (curve.mark === "points") errors({ ...stroke, "stroke-width": "1.2" });
    dots(good, 3);
  }
  // Runs that diverged: a cross at the top.
  const lost = points.filter((point) => curve.diverged[point.i] > 0 && Number.isFinite(point.x));
  if (lost.length) part("diverged", { d: lost.map((p) => cross(p.x, up.to + 7, 3.5)).join(""), ...stroke });
  // What a logarithmic axis cannot show: a triangle at its edge.
  const beyond = points.filter((p) => Number.isFinite(curve.x[p.i] + curve.y[p.i]) && !Number.isFinite(p.x + p.y)).map((p) => {
    const [x, y] = [p.x, p.y].map(Number.isFinite);
    return { ...p, x: x ? p.x : across.from + 5, y: y ? p.y : up.from - 5, shape: y ? "left" : "down" };
  });
  if (beyond.length) part("beyond", { d: beyond.map((p) => polygon(p.x, p.y, 3.5, SHAPES[p.shape])).join(""), fill: curve.colour });
  const only = lost.filter((point) => !good.includes(point)).map((point) => ({ ...point, y: up.to + 7 }));
  return { below, above, points: [...good, ...beyond, ...only] };
};

/** The sign of a curve in the legend. */
const sign = (curve) => {
  const stroke = { stroke: curve.colour, "stroke-width": "2", fill: "none" };
  if (["points", "scatter"].includes(curve.mark)) return svg("path", { d: marker(curve, 12, 6, 3), fill: curve.colour });
  if (curve.mark === "bars") return svg("rect", { x: "4", y: "1", width: "16", height: "10", fill: curve.colour });
  return svg("path", { d: "M0 6H24", ...stroke, ...(curve.dash ? { "stroke-dasharray": curve.dash } : {}) });
};


// ---- reading values -----------------------------------------------------------------------------

const REACH = 40; // pixels between the pointer and a point

/** The index of the entry of an ascending list that is nearest to a value. */
const nearestIndex = (list, value) => {
  let [low, high] = [0, list.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle;
    else high = middle;
  }
  return Math.abs(list[high] - value) < Math.abs(list[low] - value) ? high : low;
};

const byX = (a, b) => a.x - b.x;

Object.assign(Panel.prototype, {
  /** Prepares what can be read. Curves over x are read together; of clouds and paths, one point at a time. */
  prepareReading(drawn) {
    const { left, right, top, bottom } = this.area;
    const inside = ({ x, y, half }) => x >= left - 1 && x <= right + 1 && (half || (y >= top - 1 && y <= bottom + 1));
    this.alone = this.visible().some((curve) => curve.mark === "scatter" || curve.mark === "path");
    this.hits = drawn.flatMap(({ curve, points }) => points.filter(inside).map((point) => ({ ...point, curve })));
    this.readable = drawn.map(({ curve, points }) => {
      const sorted = points.filter(({ x }) => x >= left - 1 && x <= right + 1).sort(byX);
      const dot = svg("circle", { r: "4", fill: curve.colour, stroke: "#ffffff", "stroke-width": "1.2" });
      const [name, value] = [html("span", { class: "name" }), html("span", { class: "value" })];
      name.append(curve.name);
      const row = html("div", { class: "row" }, name, value);
      row.style.borderLeftColor = curve.colour;
      return { curve, sorted, xs: Float64Array.from(sorted, (point) => point.x), dot, row, value };
    });
    const stops = [...new Set(this.readable.flatMap(({ xs }) => [...xs]))].sort((a, b) => a - b);
    this.stops = Float64Array.from(stops);
    this.rule = svg("path", { class: "rule", d: `M0 ${top}V${bottom}`, stroke: INK, "stroke-width": "1", "stroke-dasharray": "3 3" });
    this.place = html("div", { class: "at" });
    this.tip.replaceChildren(this.place, ...this.readable.map(({ row }) => row));
    this.pointer.replaceChildren(this.rule, ...this.readable.map(({ dot }) => dot));
    this.forget();
  },

  /** Shows no values. */
  forget() {
    this.reading = null;
    this.tip.hidden = true;
    this.pointer.setAttribute("visibility", "hidden");
  },

  /** Reads what is at a place, in all panels with the same horizontal axis. */
  read({ x, y }) {
    if (this.alone) {
      this.readPoint(this.nearest(x, y));
      return;
    }
    const stop = this.stops.length ? this.stops[nearestIndex(this.stops, x)] : NaN;
    for (const panel of this.link.panels) {
      // Linked panels have the same values along the axis, at other pixels.
      const place = panel === this ? stop : panel.scales.x.from + (stop - this.scales.x.from) * panel.scale(this);
      if (!panel.alone) panel.readStop(place);
    }
  },

  /** How much longer this panel's horizontal axis is than another's. */
  scale(other) {
    return (this.scales.x.to - this.scales.x.from) / (other.scales.x.to - other.scales.x.from);
  },

  /** Reads all curves at a stop. A curve that has no point there is read at its nearest one. */
  readStop(stop) {
    if (!Number.isFinite(stop) || !this.stops.length || Math.abs(this.stops[nearestIndex(this.stops, stop)] - stop) > 1) {
      this.forget();
      return;
    }
    if (this.reading === stop) return;
    this.reading = stop;
    const found = this.readable.map((one) => {
      const { xs, sorted } = one;
      const within = xs.length > 0 && stop >= xs[0] - 1 && stop <= xs.at(-1) + 1;
      return { ...one, point: within ? sorted[nearestIndex(xs, stop)] : null };
    });
    const isHere = ({ point }) => point !== null && Math.abs(point.x - stop) < 0.75;
    const here = found.find(isHere);
    const counts = new Set(found.filter(isHere).map(({ curve, point }) => curve.n[point.i]));
    for (const one of found) {
      const { curve, point, dot, row, value } = one;
      row.hidden = point === null;
      // Where runs are shown, no curve has a point at the mean.
      const isSeen = point !== null && !(this.eachRun && curve.runs.length) && point.y >= this.area.top - 1 && point.y <= this.area.bottom + 1;
      dot.setAttribute("visibility", isSeen ? "inherit" : "hidden");
      if (point === null) continue;
      dot.setAttribute("transform", `translate(${px(point.x)} ${px(point.y)})`);
      const aside = isHere(one) ? "" : ` at ${short(curve.x[point.i])}`;
      value.textContent = this.words(curve, point.i, counts.size > 1) + aside;
    }
    const [count] = counts;
    const number = counts.size === 1 && Number.isFinite(count) ? `, n = ${count}` : "";
    const bars = this.curves.every((curve) => curve.mark === "bars");
    const place = bars ? this.data.y.label : `${this.link.axis.label.trim() || "x"}: ${short(here?.curve.x[here.point.i])}`;
    this.place.textContent = place + number;
    this.rule.setAttribute("transform", `translate(${px(stop)} 0)`);
    this.rule.setAttribute("visibility", "inherit");
    this.tell(stop, this.area.top);
  },

  /** Reads one point, or none. */
  readPoint(hit) {
    if (!hit) {
      this.forget();
      return;
    }
    this.reading = hit;
    for (const { curve, dot, row, value } of this.readable) {
      row.hidden = curve !== hit.curve;
      dot.setAttribute("visibility", row.hidden ? "hidden" : "inherit");
      if (row.hidden) continue;
      dot.setAttribute("transform", `translate(${px(hit.x)} ${px(hit.y)})`);
      value.textContent = this.words(curve, hit.i, false);
    }
    this.place.textContent = `${this.link.axis.label.trim() || "x"}: ${short(hit.curve.x[hit.i])}`;
    this.rule.setAttribute("visibility", "hidden");
    this.tell(hit.x, hit.y);
  },

  /** Puts the box with the values beside a place. */
  tell(x, y) {
    const { style } = this.tip;
    this.tip.hidden = false;
    this.pointer.setAttribute("visibility", "visible");
    const isRight = x > this.size.width / 2;
    style.left = isRight ? "auto" : `${px(x + 12)}px`;
    style.right = isRight ? `${px(this.size.width - x + 12)}px` : "auto";
    style.top = `${px(clamp(y - 4, 0, this.size.height - 60))}px`;
  },

  /** The value of a curve at a point, in words. */
  words(curve, i, withCount) {
    const std = Number.isFinite(curve.std[i]) ? ` ± ${short(curve.std[i], 2)}` : "";
    const count = withCount && Number.isFinite(curve.n[i]) ? ` (n = ${curve.n[i]})` : "";
    const lost = curve.diverged[i] > 0 ? `, ${curve.diverged[i]} diverged` : "";
    const runs = this.eachRun && curve.runs.length ? `: ${curve.runs.map((run) => short(run.y[i])).join(", ")}` : "";
    return `${short(curve.y[i])}${std}${count}${lost}${runs}`;
  },

  /** The point that is nearest to a place, if one is near. */
  nearest(x, y) {
    let [best, least] = [null, REACH];
    for (const hit of this.hits) {
      const distance = Math.hypot(hit.x - x, hit.y - y);
      if (distance < least) [best, least] = [hit, distance];
    }
    return best;
  },

  /** Goes to the next place, or for points alone to the next point, and says what is there. */
  step(by) {
    if (this.alone) {
      const all = [...this.hits].sort(byX);
      const now = all.findIndex((hit) => hit.curve === this.reading?.curve && hit.i === this.reading.i);
      this.readPoint(all[this.reading ? clamp(now + by, 0, all.length - 1) : 0]);
    } else if (this.stops.length) {
      const now = this.reading === null ? (by > 0 ? -1 : this.stops.length) : nearestIndex(this.stops, this.reading);
      this.read({ x: this.stops[clamp(now + by, 0, this.stops.length - 1)], y: 0 });
    }
    const rows = this.readable.filter(({ row }) => !row.hidden).map(({ curve, value }) => `${curve.name} ${value.textContent}`);
    this.spoken.textContent = [this.place.textContent, ...rows].join("; ");
  },
});

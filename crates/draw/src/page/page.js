// Draws a figure's panels from the numbers in the page: to zoom, to read values, to choose curves and scales.
// Everything static is there without it. Text comes in by textContent and setAttribute only.
"use strict";
(() => {
  const FEW = 15; // lines with at most so many points show each as a dot, as in the static drawing
  const REACH = 40; // pixels between pointer and point
  const HUGE = 1e300; // so that differences stay finite
  const DEEPEST = 1e-5; // the smallest part of an axis that zooming shows
  const TICKS = { x: 75, y: 30 }; // pixels a tick needs
  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

  const make = (document_) => (name, attributes = {}, ...children) => {
    const element = document_(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const html = make((name) => document.createElement(name));
  const svg = make((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const px = (value) => String(Math.round(value * 100) / 100);

  // ---- numbers as text --------------------------------------------------------------------------

  /** A number with five significant digits. */
  const short = (value) => {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3).replace("e+", "e").replace("-", "−");
    return String(Number(value.toPrecision(5))).replace("-", "−");
  };

  /** A number whose last digit is that of a step. */
  const inSteps = (value, step) => {
    if (value === 0) return "0";
    const size = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
    const last = Math.floor(Math.log10(step) + 1e-9);
    const text = size >= 6 || size < -3
      ? value.toExponential(clamp(size - last, 0, 15)).replace("e+", "e")
      : value.toFixed(clamp(-last, 0, 20));
    return text.replaceAll("-", "−");
  };

  const power = (exponent) => {
    if (Math.abs(exponent) <= 3) return String(Number((10 ** exponent).toPrecision(3)));
    const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[digit]).join("");
    return `10${exponent < 0 ? "⁻" : ""}${digits}`;
  };

  // ---- scales -----------------------------------------------------------------------------------

  /** The limits of all values that a scale can show, and some more on both sides. */
  const limitsOf = (values, log, margin) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (!Number.isFinite(value) || (log && value <= 0)) continue;
      const at = log ? Math.log10(value) : clamp(value, -HUGE, HUGE);
      low = Math.min(low, at);
      high = Math.max(high, at);
    }
    if (low > high) [low, high] = [0, 1];
    const more = (high - low) * margin || (log ? 0.1 : Math.abs(low) * 0.1 || 1);
    return [low - more, high + more];
  };

  /** From values to pixels and back. Limits are of the values' logarithms where the scale is logarithmic. */
  const scaleOf = (log, [low, high], from, to) => {
    const inner = (place) => low + ((place - from) / (to - from)) * (high - low);
    return {
      log, low, high, from, to, inner,
      at: (value) => (log && !(value > 0) ? NaN : from + (((log ? Math.log10(value) : value) - low) / (high - low)) * (to - from)),
    };
  };

  /** Ticks at steps of 1, 2 or 5 times a power of ten. */
  const even = (low, high, most) => {
    const rough = (high - low) / most;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((factor) => unit * factor >= rough * 0.999999);
    const ticks = [];
    for (let i = Math.ceil(low / step); i <= Math.floor(high / step) && ticks.length < 50; i += 1) {
      ticks.push({ value: i * step, label: inSteps(i * step, step) });
    }
    return ticks;
  };

  const ticksOf = (scale, most) => {
    const { low, high } = scale;
    if (!scale.log) return even(low, high, most);
    const decades = high - low;
    // Within a decade even steps give more ticks than factors would.
    if (decades < 1) return even(10 ** low, 10 ** high, most).filter((tick) => tick.value > 0);
    const multiples = decades < most / 3 ? [1, 2, 5] : [1];
    const stride = Math.max(1, Math.ceil(decades / most));
    const ticks = [];
    for (let k = Math.floor(low / stride) * stride; k <= high; k += stride) {
      for (const multiple of multiples) {
        const at = k + Math.log10(multiple);
        if (at < low || at > high) continue;
        const label = multiple === 1 || Math.abs(k) > 3 ? power(k) : inSteps(multiple * 10 ** k, 10 ** k);
        ticks.push({ value: multiple * 10 ** k, label: multiple > 1 && Math.abs(k) > 3 ? `${multiple}·${label}` : label });
      }
    }
    return ticks;
  };

  // ---- curves -----------------------------------------------------------------------------------

  /** The curve with typed columns; what is absent is NaN, limits that are absent are the value. */
  const prepare = (curve, index) => {
    const column = (key) => Float64Array.from(curve.x, (_, i) => curve[key]?.[i] ?? NaN);
    const [x, y] = [column("x"), column("y")];
    const or = (values) => values.map((value, i) => (Number.isNaN(value) ? y[i] : value));
    return {
      ...curve, index, x, y, low: or(column("low")), high: or(column("high")), std: column("std"), n: column("n"),
      diverged: column("diverged"), name: curve.label.trim() || `curve ${index + 1}`, shown: true,
    };
  };

  const circle = (x, y, r) => `M${px(x - r)} ${px(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  const polygon = (x, y, r, corners) => `M${corners.map(([dx, dy]) => `${px(x + r * dx)} ${px(y + r * dy)}`).join("L")}Z`;
  const SHAPES = {
    square: [[-0.89, -0.89], [0.89, -0.89], [0.89, 0.89], [-0.89, 0.89]],
    diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
    down: [[0, 1], [-1, -0.6], [1, -0.6]],
    left: [[-1, 0], [0.6, -1], [0.6, 1]],
  };
  /** What stands at a curve's points. */
  const marker = (curve, x, y, r) => (SHAPES[curve.marker] ? polygon(x, y, r, SHAPES[curve.marker]) : circle(x, y, r));
  const cross = (x, y, r) => `M${px(x - r)} ${px(y - r)}l${2 * r} ${2 * r}m${-2 * r} 0l${2 * r} ${-2 * r}`;
  const whisker = (x, low, high) =>
    Math.abs(low - high) < 0.5 ? "" : `M${px(x - 3)} ${px(low)}h6M${px(x - 3)} ${px(high)}h6M${px(x)} ${px(low)}V${px(high)}`;

  /** The runs of neighbouring points without a gap. */
  const runsOf = (points) => {
    const runs = [];
    let run = [];
    for (const point of points) {
      if (Number.isFinite(point.x + point.y)) run.push(point);
      else if (run.length) {
        runs.push(run);
        run = [];
      }
    }
    if (run.length) runs.push(run);
    return runs;
  };

  // ---- one panel --------------------------------------------------------------------------------

  class Panel {
    static count = 0;

    constructor(data) {
      this.data = data;
      this.number = Panel.count += 1;
      this.curves = data.curves.map(prepare);
      this.log = { x: data.xLog, y: data.yLog };
      this.zoom = null; // {x: [low, high], y: [low, high]}; null: everything
      this.hover = null;
      this.build();
    }

    build() {
      const { id, title, xLabel, yLabel } = this.data;
      const name = [id, title].filter((text) => text.trim()).join(": ") || "panel";
      this.plot = svg("svg", { tabindex: "0", role: "application", "aria-roledescription": "interactive plot" });
      this.plot.setAttribute("aria-label", `${name}. ${yLabel} against ${xLabel}. Arrow keys go from point to point, `
        + "plus and minus zoom, 0 shows everything.");
      this.tip = html("div", { class: "tip", "aria-hidden": "true" });
      this.tip.hidden = true;
      this.frame = html("div", { class: "plot" }, this.plot, this.tip);
      this.spoken = html("p", { class: "unseen", "aria-live": "polite" });
      const legend = html("div", { class: "legend", role: "group", "aria-label": `Curves of ${name}` });
      legend.append(...this.curves.map((curve) => this.legendButton(curve)));
      this.tools = html("div", { class: "tools", role: "group", "aria-label": `View of ${name}` });
      const [x, y] = [this.logButton("x"), this.logButton("y")];
      this.reset = this.button("Show all", () => this.zoomTo(null));
      this.tools.append(x, y, this.reset);
      const heading = html("h4", {}, [id && `(${id})`, title].filter(Boolean).join(" "));
      this.element = html("div", { class: "card panel" }, heading, this.frame, legend, this.tools, this.spoken);
      this.element.dataset.panel = id;
      this.listen();
    }

    button(text, action) {
      const button = html("button", { type: "button" }, text);
      button.addEventListener("click", action);
      return button;
    }

    legendButton(curve) {
      const stroke = { stroke: curve.colour, "stroke-width": "2", fill: "none" };
      const key = ["points", "scatter"].includes(curve.mark)
        ? svg("path", { d: marker(curve, 12, 6, 3), fill: curve.colour })
        : curve.mark === "bars"
          ? svg("rect", { x: "4", y: "1", width: "16", height: "10", fill: curve.colour })
          : svg("path", { d: "M0 6H24", ...stroke, ...(curve.dash ? { "stroke-dasharray": curve.dash } : {}) });
      const swatch = svg("svg", { width: "24", height: "12", viewBox: "0 0 24 12", "aria-hidden": "true" }, key);
      const button = this.button("", () => {
        curve.shown = !curve.shown;
        button.setAttribute("aria-pressed", String(curve.shown));
        this.draw();
      });
      button.setAttribute("aria-pressed", "true");
      button.append(swatch, html("span", {}, curve.name));
      return button;
    }

    logButton(axis) {
      const button = this.button(`log ${axis}`, () => {
        this.log[axis] = !this.log[axis];
        button.setAttribute("aria-pressed", String(this.log[axis]));
        this.zoomTo(null);
      });
      button.setAttribute("aria-pressed", String(this.log[axis]));
      button.disabled = !this.log[axis] && !this.curves.some((curve) => curve[axis].some((value) => value > 0));
      if (button.disabled) button.title = "There are no positive values.";
      return button;
    }

    // ---- what is seen

    visible() {
      return this.curves.filter((curve) => curve.shown);
    }

    /** The limits of an axis when nothing is zoomed: those of the curves that are shown. */
    full(axis) {
      const shown = this.visible();
      const values = [];
      for (const curve of shown.length ? shown : this.curves) {
        // One by one: a spread of many values overflows the stack.
        for (let i = 0; i < curve.x.length; i += 1) {
          if (axis === "x") {
            if (Number.isFinite(curve.y[i]) || curve.diverged[i] > 0) values.push(curve.x[i]);
          } else {
            // A lower limit near zero would stretch a logarithmic axis for nothing; so the static drawing has it, too.
            const low = this.log.y && curve.low[i] < curve.y[i] / 10 ? curve.y[i] : curve.low[i];
            values.push(low, curve.y[i], curve.high[i]);
            if (curve.mark === "bars") values.push(0);
          }
        }
      }
      const limits = limitsOf(values, this.log[axis], axis === "y" ? 0.06 : 0.03);
      const room = axis === "x" ? this.barRoom(shown) : 0;
      return [limits[0] - room, limits[1] + room];
    }

    /** Half the least distance between bars: without it, half of the outermost ones would be cut off. */
    barRoom(curves) {
      const all = curves.filter((curve) => curve.mark === "bars").flatMap((curve) => [...curve.x]);
      const places = [...new Set(all)].filter((x) => Number.isFinite(x) && (!this.log.x || x > 0))
        .map((x) => (this.log.x ? Math.log10(x) : x)).sort((a, b) => a - b);
      const gaps = places.slice(1).map((place, i) => place - places[i]);
      return gaps.length ? gaps.reduce((a, b) => Math.min(a, b)) / 2 : 0;
    }

    zoomTo(limits) {
      this.zoom = limits;
      this.draw();
    }

    /** Zooms by a factor around a place. */
    scaleBy(factor, place) {
      const limits = {};
      let all = true;
      for (const axis of ["x", "y"]) {
        const scale = this.scales[axis];
        const [low, high] = this.full(axis);
        const at = scale.inner(place[axis]);
        const span = clamp((scale.high - scale.low) * factor, (high - low) * DEEPEST, high - low);
        const start = at - ((at - scale.low) / (scale.high - scale.low)) * span;
        const from = clamp(start, Math.min(low, scale.low), Math.max(high, scale.high) - span);
        limits[axis] = [from, from + span];
        all = all && span >= (high - low) * 0.999;
      }
      this.zoomTo(all ? null : limits);
    }

    draw() {
      const width = Math.max(this.frame.clientWidth, 200);
      const height = Math.round(clamp(width * 0.68, 200, 420));
      const limits = this.zoom ?? { x: this.full("x"), y: this.full("y") };
      const [top, bottom, right] = [10, height - 42, width - 14];
      const y = scaleOf(this.log.y, limits.y, bottom, top);
      const yTicks = ticksOf(y, (bottom - top) / TICKS.y);
      const left = clamp(30 + 6.8 * Math.max(1, ...yTicks.map((tick) => tick.label.length)), 44, width / 2);
      const x = scaleOf(this.log.x, limits.x, left, right);
      const xTicks = ticksOf(x, (right - left) / TICKS.x);
      this.scales = { x, y };
      this.area = { left, right, top, bottom };
      this.hits = [];

      const clip = `explored-${this.number}`;
      const size = { width: px(right - left), height: px(bottom - top), x: px(left), y: px(top) };
      const inside = svg("g", { "clip-path": `url(#${clip})` });
      this.drawCurves(inside);
      this.pointer = svg("g", { "pointer-events": "none" });
      this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.plot.setAttribute("width", width);
      this.plot.setAttribute("height", height);
      this.plot.replaceChildren(
        svg("clipPath", { id: clip }, svg("rect", size)),
        ...this.axes(xTicks, yTicks, height),
        inside,
        svg("rect", { ...size, fill: "none", stroke: "#222222", "stroke-width": "0.9" }),
        this.pointer,
      );
      this.show(null);
      this.reset.disabled = this.zoom === null;
    }

    axes(xTicks, yTicks, height) {
      const { left, right, top, bottom } = this.area;
      let grid = "";
      const texts = [];
      for (const { value, label } of xTicks) {
        const at = px(this.scales.x.at(value));
        grid += `M${at} ${top}V${bottom}`;
        texts.push(svg("text", { x: at, y: bottom + 15, "text-anchor": "middle" }, label));
      }
      for (const { value, label } of yTicks) {
        const at = this.scales.y.at(value);
        grid += `M${left} ${px(at)}H${right}`;
        texts.push(svg("text", { x: left - 6, y: px(at + 4), "text-anchor": "end" }, label));
      }
      const [across, up] = [(left + right) / 2, (top + bottom) / 2];
      const names = [
        svg("text", { x: px(across), y: height - 7, "text-anchor": "middle" }, this.data.xLabel),
        svg("text", { transform: `translate(13 ${px(up)}) rotate(-90)`, "text-anchor": "middle" }, this.data.yLabel),
      ];
      return [
        svg("path", { d: grid, stroke: "#e6e6e6", "stroke-width": "0.7", fill: "none" }),
        svg("g", { class: "ticks" }, ...texts),
        svg("g", { class: "names" }, ...names),
      ];
    }

    drawCurves(into) {
      const { x: across, y: up } = this.scales;
      const below = []; // bands lie below all curves
      const above = [];
      const bars = this.barPlaces();
      for (const curve of this.visible()) {
        const part = (name, attributes, list) =>
          list.push(svg("path", { "data-curve": curve.index, "data-part": name, fill: "none", ...attributes }));
        // What a logarithmic axis cannot show of a band or whisker ends where the axis does.
        const reach = (value, value0) => (up.log && !(value > 0) && value0 > 0 ? up.from : up.at(value));
        const points = Array.from(curve.x, (x, i) => ({
          i, x: across.at(x), y: up.at(curve.y[i]), low: reach(curve.low[i], curve.y[i]), high: up.at(curve.high[i]),
        }));
        const good = points.filter((point) => Number.isFinite(point.x + point.y));
        const stroke = { stroke: curve.colour, "stroke-width": "1.7", "stroke-linejoin": "round" };
        if (curve.mark === "bars") {
          const base = up.log ? up.from : up.at(0);
          const [place, d] = [bars.get(curve), []];
          for (const point of good) {
            const [from, width] = place.get(point.i);
            Object.assign(point, { x: from + width / 2, base, half: width / 2 });
            d.push(`M${px(from)} ${px(base)}V${px(point.y)}h${px(width)}V${px(base)}Z`);
          }
          part("bars", { d: d.join(""), fill: curve.colour, "fill-opacity": "0.8" }, above);
          part("errors", { d: good.map((p) => whisker(p.x, p.low, p.high)).join(""), stroke: "#222222" }, above);
        } else if (curve.mark === "line" || curve.mark === "path") {
          const runs = runsOf(points);
          const trace = (run, key) => run.map((point) => `${px(point.x)} ${px(point[key])}`).join("L");
          if (curve.mark === "line") {
            const band = runs.map((run) => `M${trace(run, "high")}L${trace([...run].reverse(), "low")}Z`);
            part("band", { d: band.join(""), fill: curve.colour, "fill-opacity": "0.2" }, below);
          }
          const dash = curve.dash ? { "stroke-dasharray": curve.dash } : {};
          part("line", { d: runs.map((run) => `M${trace(run, "y")}`).join(""), ...stroke, ...dash }, above);
          const dots = curve.mark === "path" || good.length <= FEW ? good : runs.filter((run) => run.length === 1).flat();
          part("dots", { d: dots.map((p) => marker(curve, p.x, p.y, 2.4)).join(""), fill: curve.colour }, above);
        } else {
          if (curve.mark === "points") {
            part("errors", { d: good.map((p) => whisker(p.x, p.low, p.high)).join(""), ...stroke, "stroke-width": "1.2" }, above);
          }
          part("dots", { d: good.map((p) => marker(curve, p.x, p.y, 3)).join(""), fill: curve.colour }, above);
        }
        // Replicas that diverged: a cross at the top.
        const lost = points.filter((point) => curve.diverged[point.i] > 0 && Number.isFinite(point.x));
        if (lost.length) part("diverged", { d: lost.map((p) => cross(p.x, up.to + 7, 3.5)).join(""), ...stroke }, above);
        // What a logarithmic axis cannot show: a triangle at its edge.
        const beyond = points.filter((p) => Number.isFinite(curve.x[p.i] + curve.y[p.i]) && !Number.isFinite(p.x + p.y)).map((p) => {
          const [x, y] = [p.x, p.y].map(Number.isFinite);
          return { ...p, x: x ? p.x : across.from + 5, y: y ? p.y : up.from - 5, shape: y ? "left" : "down" };
        });
        if (beyond.length) part("beyond", { d: beyond.map((p) => polygon(p.x, p.y, 3.5, SHAPES[p.shape])).join(""), fill: curve.colour }, above);
        for (const point of [...good, ...beyond]) this.hit(curve, point);
        for (const point of lost) if (!good.includes(point)) this.hit(curve, { ...point, y: up.to + 7 });
      }
      into.append(...below, ...above);
    }

    /** Notes a point that the pointer can find, if it is to be seen. */
    hit(curve, point) {
      const { left, right, top, bottom } = this.area;
      const inside = point.x >= left - 1 && point.x <= right + 1 && (point.half || (point.y >= top - 1 && point.y <= bottom + 1));
      if (inside) this.hits.push({ ...point, curve, y: clamp(point.y, top, bottom) });
    }

    /** Left edge and width of each bar: bars at one x share its room, side by side. */
    barPlaces() {
      const rooms = new Map();
      for (const curve of this.visible().filter((curve) => curve.mark === "bars")) {
        curve.x.forEach((x, i) => {
          const at = this.scales.x.at(x);
          if (!Number.isFinite(at + curve.y[i])) return;
          rooms.set(at, [...(rooms.get(at) ?? []), [curve, i]]);
        });
      }
      const places = [...rooms.keys()].sort((a, b) => a - b);
      let gap = (this.area.right - this.area.left) / 4;
      for (let i = 1; i < places.length; i += 1) gap = Math.min(gap, places[i] - places[i - 1]);
      const bars = new Map(this.curves.map((curve) => [curve, new Map()]));
      for (const [at, sharers] of rooms) {
        const width = (gap * 0.84) / sharers.length;
        sharers.forEach(([curve, i], k) => bars.get(curve).set(i, [at - gap * 0.42 + k * width, width]));
      }
      return bars;
    }

    // ---- reading values

    /** The point that is nearest to a place, if one is near. */
    nearest(x, y) {
      let [best, least] = [null, REACH];
      for (const hit of this.hits) {
        const within = hit.half && Math.abs(hit.x - x) <= hit.half && (y - hit.y) * (y - hit.base) <= 0;
        const distance = within ? 0 : Math.hypot(hit.x - x, hit.y - y);
        if (distance < least) [best, least] = [hit, distance];
      }
      return best;
    }

    lines({ curve, i }) {
      const { xLabel, yLabel } = this.data;
      const std = Number.isFinite(curve.std[i]) ? ` ± ${short(curve.std[i])}` : "";
      const lines = [curve.name, `${xLabel.trim() || "x"}: ${short(curve.x[i])}`, `${yLabel.trim() || "y"}: ${short(curve.y[i])}${std}`];
      if (Number.isFinite(curve.n[i])) lines.push(`n = ${curve.n[i]}`);
      if (curve.diverged[i] > 0) lines.push(`${curve.diverged[i]} diverged`);
      return lines;
    }

    /** Shows a point's numbers beside it, or none. */
    show(hit) {
      this.hover = hit;
      this.pointer.replaceChildren();
      this.tip.hidden = hit === null;
      if (hit === null) return;
      const ring = { cx: px(hit.x), cy: px(hit.y), r: "5", fill: "none", stroke: "#222222", "stroke-width": "1.5" };
      this.pointer.append(svg("circle", ring));
      this.tip.replaceChildren(...this.lines(hit).map((line) => html("div", {}, line)));
      this.tip.style.borderLeftColor = hit.curve.colour;
      const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight];
      const room = this.frame.clientWidth - width;
      const left = hit.x + 12 + width > this.frame.clientWidth ? hit.x - 12 - width : hit.x + 12;
      this.tip.style.left = `${px(clamp(left, 0, Math.max(room, 0)))}px`;
      this.tip.style.top = `${px(Math.max(hit.y - 10 - height, 0))}px`;
    }

    // ---- pointer and keys

    place(event) {
      const box = this.plot.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    isInside({ x, y }) {
      const { left, right, top, bottom } = this.area;
      return x >= left && x <= right && y >= top && y <= bottom;
    }

    listen() {
      this.plot.addEventListener("pointermove", (event) => {
        const at = this.place(event);
        if (!this.dragging) this.show(this.isInside(at) ? this.nearest(at.x, at.y) : null);
      });
      this.plot.addEventListener("pointerleave", () => this.dragging || this.show(null));
      this.plot.addEventListener("blur", () => this.show(null));
      this.plot.addEventListener("pointerdown", (event) => this.drag(event));
      this.plot.addEventListener("dblclick", (event) => {
        event.preventDefault();
        this.zoomTo(null);
      });
      this.plot.addEventListener("wheel", (event) => {
        const at = this.place(event);
        if (!this.isInside(at)) return; // the margins scroll the page
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 200 : 1;
        this.scaleBy(clamp(Math.exp(event.deltaY * lines * 0.0015), 0.3, 3), at);
      }, { passive: false });
      this.plot.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !this.key(event.key)) return;
        event.preventDefault();
      });
    }

    /** Zooms to a rectangle that is drawn; a narrow one counts for its long side only. */
    drag(event) {
      const start = this.place(event);
      if (event.button !== 0 || !this.isInside(start)) return;
      const { left, right, top, bottom } = this.area;
      const box = svg("rect", { fill: "#1d3557", "fill-opacity": "0.12", stroke: "#1d3557" });
      let end = start;
      this.dragging = true;
      this.show(null);
      this.pointer.append(box);
      const wide = () => Math.abs(end.x - start.x) > 8;
      const high = () => Math.abs(end.y - start.y) > 8;
      const move = (event) => {
        const at = this.place(event);
        end = { x: clamp(at.x, left, right), y: clamp(at.y, top, bottom) };
        const [x, y] = [wide() || !high() ? [start.x, end.x] : [left, right], high() || !wide() ? [start.y, end.y] : [top, bottom]];
        box.setAttribute("x", px(Math.min(...x)));
        box.setAttribute("y", px(Math.min(...y)));
        box.setAttribute("width", px(Math.abs(x[1] - x[0])));
        box.setAttribute("height", px(Math.abs(y[1] - y[0])));
      };
      const stop = (zoom) => {
        this.dragging = false;
        box.remove();
        for (const [name, listener] of listeners) window.removeEventListener(name, listener);
        if (!zoom || (!wide() && !high())) return;
        const range = (scale, a, b) => [scale.inner(a), scale.inner(b)].sort((p, q) => p - q);
        const { x, y } = this.scales;
        const limits = {
          x: wide() ? range(x, start.x, end.x) : [x.low, x.high],
          y: high() ? range(y, start.y, end.y) : [y.low, y.high],
        };
        const deep = ["x", "y"].every((axis) => {
          const [low, high] = this.full(axis);
          return limits[axis][1] - limits[axis][0] >= (high - low) * DEEPEST;
        });
        if (deep) this.zoomTo(limits);
      };
      const listeners = [
        ["pointermove", move],
        ["pointerup", () => stop(true)],
        ["pointercancel", () => stop(false)],
        ["keydown", (event) => event.key === "Escape" && stop(false)],
      ];
      for (const [name, listener] of listeners) window.addEventListener(name, listener);
    }

    /** What a key does; whether it does anything. */
    key(key) {
      const { left, right, top, bottom } = this.area;
      const middle = this.hover ?? { x: (left + right) / 2, y: (top + bottom) / 2 };
      if (key === "+" || key === "=") this.scaleBy(0.7, middle);
      else if (key === "-" || key === "_") this.scaleBy(1 / 0.7, middle);
      else if (key === "0") this.zoomTo(null);
      else if (key === "Escape") this.show(null);
      else if (key.startsWith("Arrow") && this.hits.length) this.step(key);
      else return false;
      return true;
    }

    /** Goes to the next point of a curve, or to the next curve. */
    step(key) {
      let hit = this.hits[0];
      if (this.hover) {
        const { curve, i, x } = this.hover;
        const by = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
        if (key === "ArrowLeft" || key === "ArrowRight") {
          const own = this.hits.filter((other) => other.curve === curve);
          const at = own.findIndex((other) => other.i === i);
          hit = own[clamp(at + by, 0, own.length - 1)];
        } else {
          const curves = [...new Set(this.hits.map((other) => other.curve))];
          const next = curves[(curves.indexOf(curve) + by + curves.length) % curves.length];
          const nearer = (a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a);
          hit = this.hits.filter((other) => other.curve === next).reduce(nearer);
        }
      }
      this.show(hit);
      this.spoken.textContent = this.lines(hit).join(", ");
    }
  }

  // ---- the page ---------------------------------------------------------------------------------

  const explore = (section, button, data) => {
    const room = section.querySelector(".panels");
    const drawing = section.querySelector(".drawing");
    const words = button.firstChild;
    let panels = null;
    let width = 0;
    const fit = () => {
      if (room.hidden || room.clientWidth === width) return;
      width = room.clientWidth;
      panels.forEach((panel) => panel.draw());
    };
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      words.textContent = open ? "Back to the drawing " : "Explore ";
      room.hidden = !open;
      // The drawing stays where it shows more than the panels do.
      drawing.hidden = open && data.others.length === 0;
      if (open && panels === null) {
        panels = data.panels.map((panel) => new Panel(panel));
        room.append(html("p", { class: "hint" }, "Drag a rectangle or turn the wheel to zoom, double-click to see everything again. "
          + "Point at a curve for its numbers; click a name to hide it."));
        if (data.others.length) room.append(html("p", { class: "hint" }, `Only in the drawing: ${data.others.join(", ")}.`));
        room.append(html("div", { class: "grid" }, ...panels.map((panel) => panel.element)));
        new ResizeObserver(() => requestAnimationFrame(fit)).observe(room);
      }
      fit();
    });
    button.hidden = false;
  };

  for (const section of document.querySelectorAll("main > section")) {
    const [button, numbers] = [section.querySelector("button.explore"), section.querySelector("script.numbers")];
    if (button && numbers) explore(section, button, JSON.parse(numbers.textContent));
  }
})();

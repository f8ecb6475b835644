
// ---- one panel ----------------------------------------------------------------------------------

const INK = "#222222";
const FONT = { "font-family": "DejaVu Sans, Verdana, sans-serif", "font-size": "11", fill: INK };

/** Panels with the same horizontal axis: they share the part that is seen, its scale, and what is read. */
class Link {
  constructor(axis) {
    this.axis = axis;
    this.log = axis.isLog;
    this.window = [0, 1];
    this.panels = [];
  }

  draw() {
    for (const panel of this.panels) panel.schedule();
  }
}

class Panel {
  static count = 0;

  /** `source` has the name and the root of the figure. */
  constructor(data, link, source) {
    Object.assign(this, { data, link, source });
    this.number = Panel.count += 1;
    this.curves = data.curves.map(prepare);
    this.log = data.y.isLog;
    this.window = [0, 1]; // of the vertical axis
    this.chosen = new Set(); // the curves that are shown; none: all
    this.eachRun = false;
    link.panels.push(this);
    this.build();
  }

  build() {
    const { id, title, y } = this.data;
    const name = [id, title].filter((text) => text.trim()).join(": ") || "panel";
    this.plot = svg("svg", { tabindex: "0", role: "application", "aria-roledescription": "interactive plot" });
    this.plot.setAttribute("aria-label", `${name}. ${y.label} against ${this.link.axis.label}. Left and right read the curves, `
      + "plus and minus zoom, Shift with arrows moves the view, 0 shows everything.");
    this.tip = html("div", { class: "tip", "aria-hidden": "true" });
    this.tip.hidden = true;
    // What moves with the pointer has a layer of its own, so that the curves are not painted again.
    this.pointer = svg("svg", { class: "pointer", "aria-hidden": "true" });
    this.frame = html("div", { class: "plot" }, this.plot, this.pointer, this.tip);
    this.spoken = html("p", { class: "unseen", "aria-live": "polite" });
    this.legend = html("div", { class: "legend", role: "group", "aria-label": `Curves of ${name}: choose which are shown` });
    this.legend.append(...this.curves.map((curve) => this.legendButton(curve)));
    const heading = html("h3", {}, [id && `(${id})`, title].filter(Boolean).join(" ") || "Panel");
    this.element = html("div", { class: "card panel" }, heading, this.frame, this.legend, this.buildTools(name), this.spoken);
    this.element.dataset.panel = id;
    this.listen();
  }

  buildTools(name) {
    const middle = () => ({ x: (this.area.left + this.area.right) / 2, y: (this.area.top + this.area.bottom) / 2 });
    const tools = [
      button("+", () => this.zoomBy(1 / 1.5, middle()), { "aria-label": "Zoom in" }),
      button("−", () => this.zoomBy(1.5, middle()), { "aria-label": "Zoom out" }),
      this.reset = button("Reset", () => this.showAll()),
    ];
    if (this.curves.some((curve) => curve.runs.length)) {
      tools.push(toggle("All seeds", false, (on) => {
        this.eachRun = on;
        this.draw();
      }));
    }
    const scales = [["x", this.link.axis, this.link], ["y", this.data.y, this]];
    for (const [axis, { linear, log }, owner] of scales) {
      if (!linear || !log) continue;
      const choose = toggle(`log ${axis}`, owner.log, (on) => {
        owner.log = on;
        owner.window = [0, 1];
        owner.draw();
      });
      if (axis === "x") this.logX = choose;
      tools.push(choose);
    }
    for (const [kind, words] of [["svg", "SVG"], ["png", "PNG"], ["csv", "CSV"]]) {
      tools.push(button(words, () => this.save(kind), { "aria-label": `Save as ${words}` }));
    }
    return html("div", { class: "tools", role: "group", "aria-label": `View of ${name}` }, ...tools);
  }

  legendButton(curve) {
    const swatch = svg("svg", { width: "24", height: "12", viewBox: "0 0 24 12", "aria-hidden": "true" }, sign(curve));
    const choose = toggle("", false, (on) => {
      if (on) this.chosen.add(curve);
      else this.chosen.delete(curve);
      this.legend.classList.toggle("some", this.chosen.size > 0);
      this.draw();
    });
    choose.append(swatch, html("span", {}, curve.name));
    return choose;
  }

  // ---- what is seen

  visible() {
    return this.chosen.size ? this.curves.filter((curve) => this.chosen.has(curve)) : this.curves;
  }

  /** Shows a part of the axes; panels with the same horizontal axis follow. */
  look(x, y) {
    this.window = y;
    this.link.window = x;
    this.link.draw();
  }

  showAll() {
    this.look([0, 1], [0, 1]);
  }

  /** Zooms by a factor around a place in pixels. */
  zoomBy(factor, at) {
    const part = (scale, pixel) => {
      const size = clamp((scale.end - scale.start) * factor, DEEPEST, 1);
      const place = scale.place(pixel);
      return within(place - ((place - scale.start) / (scale.end - scale.start)) * size, size);
    };
    this.look(part(this.scales.x, at.x), part(this.scales.y, at.y));
  }

  /** Moves the view by pixels, as if the paper were moved under the frame. */
  moveBy(dx, dy) {
    const part = (scale, by) => within(scale.start - (by / (scale.to - scale.from)) * (scale.end - scale.start), scale.end - scale.start);
    this.look(part(this.scales.x, dx), part(this.scales.y, dy));
  }

  /** Draws once before the next frame, however often it is asked for. */
  schedule() {
    this.waiting ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (this.waiting) cancelAnimationFrame(this.waiting);
    this.waiting = null;
    const width = Math.max(this.frame.clientWidth, 200);
    const height = Math.round(clamp(width * 0.68, 200, 420));
    const [top, bottom, right] = [10, height - 42, width - 14];
    const y = scaleOf(this.data.y, this.log, this.window, bottom, top);
    const yTicks = y.ticks(false);
    const left = clamp(30 + 6.8 * Math.max(1, ...yTicks.map((tick) => tick.text.length)), 44, width / 2);
    const x = scaleOf(this.link.axis, this.link.log, this.link.window, left, right);
    this.scales = { x, y };
    this.area = { left, right, top, bottom };
    this.size = { width, height };
    const clip = `explored-${this.number}`;
    const frame = { width: px(right - left), height: px(bottom - top), x: px(left), y: px(top) };
    const drawn = this.visible().map((curve) => ({ curve, ...drawCurve(curve, x, y, this.eachRun) }));
    const inside = svg("g", { "clip-path": `url(#${clip})` });
    inside.append(...drawn.flatMap((one) => one.below), ...drawn.flatMap((one) => one.above));
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) {
      for (const layer of [this.plot, this.pointer]) layer.setAttribute(name, value);
    }
    this.plot.replaceChildren(
      svg("clipPath", { id: clip }, svg("rect", frame)),
      ...this.axes(x.ticks(true), yTicks, height),
      inside,
      svg("rect", { ...frame, fill: "none", stroke: INK, "stroke-width": "0.9" }),
    );
    this.reset.disabled = [this.window, this.link.window].every(([start, end]) => start === 0 && end === 1);
    this.logX?.setAttribute("aria-pressed", String(this.link.log));
    this.plot.classList.toggle("zoomed", !this.reset.disabled);
    this.prepareReading(drawn);
  }

  axes(xTicks, yTicks, height) {
    const { left, right, top, bottom } = this.area;
    const grid = xTicks.map(({ at }) => `M${px(at)} ${top}V${bottom}`).concat(yTicks.map(({ at }) => `M${px(left)} ${px(at)}H${right}`));
    const text = (content, attributes) => svg("text", { ...FONT, ...attributes }, content);
    const ticks = [
      ...xTicks.map((tick) => text(tick.text, { x: px(tick.at), y: bottom + 15, "text-anchor": "middle" })),
      ...yTicks.map((tick) => text(tick.text, { x: px(left - 6), y: px(tick.at + 4), "text-anchor": "end" })),
    ];
    const name = { "text-anchor": "middle", "font-size": "12" };
    return [
      svg("path", { d: grid.join(""), stroke: "#e6e6e6", "stroke-width": "0.7", fill: "none" }),
      svg("g", { class: "ticks" }, ...ticks),
      text(this.link.axis.label, { x: px((left + right) / 2), y: height - 7, ...name }),
      text(this.data.y.label, { transform: `translate(13 ${px((top + bottom) / 2)}) rotate(-90)`, ...name }),
    ];
  }
}


// ---- saving what is seen ------------------------------------------------------------------------

const COLUMNS = ["x", "y", "std", "low", "high", "n", "diverged"];
const HEADINGS = { y: "mean" };

/** A cell of a CSV file. */
const cell = (value) => {
  const text = typeof value === "number" && !Number.isFinite(value) ? "NaN" : String(value ?? "NaN");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

const download = (blob, name) => {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};

Object.assign(Panel.prototype, {
  /** Saves the panel as it is seen: `svg` or `png`; or its numbers: `csv`. */
  save(kind) {
    const name = `${this.source.name}-${this.data.id || "panel"}`.replace(/[^\w.@-]/g, "_");
    const types = { svg: "image/svg+xml", csv: "text/csv" };
    if (kind !== "png") {
      download(new Blob([kind === "svg" ? this.image() : this.table()], { type: types[kind] }), `${name}.${kind}`);
      return;
    }
    const image = new Image();
    image.addEventListener("load", () => {
      const canvas = html("canvas", { width: image.width * 2, height: image.height * 2 });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => blob && download(blob, `${name}.png`));
    });
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(this.image())}`;
  },

  /** The plot with its title and legend, as an SVG document. */
  image() {
    const { width, height } = this.size;
    const plot = this.plot.cloneNode(true);
    const title = svg("text", { ...FONT, "font-size": "13", x: px(width / 2), y: "18", "text-anchor": "middle" });
    title.append(this.element.querySelector("h3").textContent);
    const entries = this.visible().map((curve, i) => {
      const key = svg("g", { transform: "translate(0 -9)" }, sign(curve));
      return svg("g", { transform: `translate(50 ${44 + height + 16 * i})` }, key, svg("text", { ...FONT, x: "30", y: "1" }, curve.name));
    });
    const whole = 28 + height + 16 * entries.length + 20;
    const about = `Part of ${this.source.name}, drawn by its page. Root of the figure: ${this.source.root || "not known"}.`;
    const root = svg("svg", { width, height: whole, viewBox: `0 0 ${width} ${whole}` },
      svg("desc", {}, about), svg("rect", { width: "100%", height: "100%", fill: "#ffffff" }), title,
      svg("g", { transform: "translate(0 26)" }, ...plot.childNodes), ...entries);
    return new XMLSerializer().serializeToString(root);
  },

  /** The numbers of all curves of the panel, in the form of the figure's CSV file, and those of every run. */
  table() {
    const { curves, id } = this.data;
    const runs = [...new Set(curves.flatMap((curve) => (curve.runs ?? []).map((run) => run.name)))];
    const lines = [["panel", "curve", "dashed", ...COLUMNS.map((name) => HEADINGS[name] ?? name), ...runs]];
    for (const curve of curves) {
      curve.x.forEach((_, i) => {
        const numbers = COLUMNS.map((name) => curve[name]?.[i]);
        const own = runs.map((name) => curve.runs?.find((run) => run.name === name)?.y[i]);
        lines.push([id, curve.label, Number(curve.dashed), ...numbers, ...own]);
      });
    }
    return `${lines.map((line) => line.map(cell).join(",")).join("\n")}\n`;
  },
});

// Acts like a reader of the page, and writes its observations into <pre id="test-result"> as JSON.
"use strict";
(async () => {
  const seen = { failure: null };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const buttons = all("button.explore");
  const panelOf = (id) => all(".panel").find((panel) => panel.dataset.panel === id);
  const plotOf = (panel) => panel.querySelector(".plot > svg");
  const curves = (panel, part) => all(`[data-part="${part}"]`, panel).map((path) => Number(path.dataset.curve));
  const path = (panel, curve, part) => panel.querySelector(`[data-curve="${curve}"][data-part="${part}"]`)?.getAttribute("d") ?? null;
  const pairs = (d) => [...d.matchAll(/[ML]([\d.-]+) ([\d.-]+)/g)].map((match) => [Number(match[1]), Number(match[2])]);
  const ticks = (panel) => all(".ticks text", panel).map((text) => text.textContent);
  const number = (text) => Number(text.replace("−", "-"));
  const xTicks = (panel) => all('.ticks text[text-anchor="middle"]', panel).map((text) => number(text.textContent));
  const tip = (panel) => all(".tip > div:not([hidden])", panel).map((line) => line.textContent);
  const tool = (panel, words) => all(".tools button", panel).find((button) => button.textContent === words);
  const at = (plot, [x, y]) => {
    const box = plot.getBoundingClientRect();
    return { bubbles: true, cancelable: true, clientX: box.left + x, clientY: box.top + y, button: 0, pointerId: 1 };
  };
  const pointer = (plot, name, place) => plot.dispatchEvent(new PointerEvent(name, at(plot, place)));
  const key = (plot, name) => plot.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const settle = () => new Promise((resolve) => setTimeout(resolve, 100));

  const visible = (element) => element.getAttribute("visibility") !== "hidden";
  const frames = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  /** Reads at a place; the page does so before the next frame. */
  const read = async (panel, place) => {
    pointer(plotOf(panel), "pointermove", place);
    await frames();
    return tip(panel);
  };

  const explore = async () => {
    const [panel, linked] = [panelOf("a"), panelOf("b")];
    const plot = plotOf(panel);
    seen.curves = curves(panel, "line");
    seen.dashes = all('[data-part="line"]', panel).map((line) => line.hasAttribute("stroke-dasharray"));
    seen["ticks as drawn"] = ticks(panel);

    const points = pairs(path(panel, 0, "line"));
    seen.hover = await read(panel, [points[4][0] + 2, 60]);
    seen["hover between"] = await read(panel, [points[3][0] + 1, 60]);
    seen["hover linked"] = tip(linked)[0];
    const [box, frame] = [panel.querySelector(".tip"), panel].map((element) => element.getBoundingClientRect());
    seen["tip inside"] = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.width > 50;
    await read(panel, [1, 1]);
    seen["hover nothing"] = [panel, linked].every((one) => one.querySelector(".tip").hidden);
    const spoken = () => panel.querySelector("[aria-live]").textContent;
    key(plot, "ArrowRight");
    key(plot, "ArrowRight");
    seen["key right"] = spoken().split("; ").slice(0, 2);
    key(plot, "End");
    seen["key end"] = spoken().split("; ")[0];
    key(plot, "Escape");

    const names = all(".legend button", panel);
    seen.isolated = [];
    for (const i of [0, 3, 0, 3]) {
      names[i].click();
      seen.isolated.push(curves(panel, "line"));
    }
    seen.pressed = names[0].getAttribute("aria-pressed");

    tool(panel, "All seeds").click();
    seen.seeds = [curves(panel, "run"), curves(panel, "line"), (await read(panel, [points[0][0], 60]))[1]];
    tool(panel, "All seeds").click();

    // On a linear axis, equal differences have equal lengths; on a logarithmic axis they do not.
    const before = pairs(path(panel, 0, "line"));
    tool(panel, "log y").click();
    const linear = pairs(path(panel, 0, "line"));
    const values = [31.04459952211101, 28.791819761213173, 26.729377029346633]; // the first rows of the CSV
    const ratio = (linear[1][1] - linear[0][1]) / (linear[2][1] - linear[1][1]);
    const expected = (values[1] - values[0]) / (values[2] - values[1]);
    seen.linear = [tool(panel, "log y").getAttribute("aria-pressed"), Math.abs(ratio - expected) < 0.01, !same(before, linear)];
    tool(panel, "log y").click();
    tool(panel, "log x").click();
    await frames();
    // Epoch 0 has no place on a logarithmic axis. Linked panels have the same axis.
    seen["log x"] = [tool(linked, "log x").getAttribute("aria-pressed"), pairs(path(panel, 0, "line")).length === points.length - 1];
    tool(linked, "log x").click();
    await frames();

    const start = ticks(panel);
    const width = (one) => Math.max(...xTicks(one)) - Math.min(...xTicks(one));
    const full = width(panel);
    const zoomed = async (act) => {
      await act();
      await frames();
      const found = [width(panel) < full, width(linked) < full];
      tool(panel, "Reset").click();
      await frames();
      return [...found, same(start, ticks(panel))];
    };
    const wheel = (keys) => {
      const event = new WheelEvent("wheel", { ...at(plot, points[10]), deltaY: -120, ...keys });
      plot.dispatchEvent(event);
      return event.defaultPrevented;
    };
    seen["wheel scrolls"] = [wheel({}), await zoomed(() => wheel({}))];
    seen["wheel zooms"] = [wheel({ ctrlKey: true }), await zoomed(async () => {
      for (let i = 0; i < 4; i += 1) {
        wheel({ ctrlKey: true });
        await frames();
      }
    })];
    const zoomIn = async () => {
      for (let i = 0; i < 3; i += 1) {
        tool(panel, "+").click();
        await frames();
      }
    };
    seen.buttons = await zoomed(zoomIn);
    seen.keys = await zoomed(async () => {
      for (let i = 0; i < 3; i += 1) {
        key(plot, "+");
        await frames();
      }
    });
    await zoomIn();
    const place = pairs(path(panel, 0, "line"))[10];
    pointer(plot, "pointerdown", [200, 100]);
    pointer(plot, "pointermove", [220, 110]);
    pointer(plot, "pointerup", [220, 110]);
    const moved = pairs(path(panel, 0, "line"))[10];
    seen.drag = [Math.round(moved[0] - place[0]), Math.round(moved[1] - place[1])];
    key(plot, "0");
    await frames();
    const finger = (name, id, where) => plot.dispatchEvent(new PointerEvent(name, { ...at(plot, where), pointerId: id, pointerType: "touch" }));
    seen.pinch = await zoomed(() => {
      finger("pointerdown", 1, [180, 100]);
      finger("pointerdown", 2, [220, 100]);
      finger("pointermove", 2, [300, 100]);
      finger("pointermove", 1, [100, 100]);
      finger("pointerup", 1, [100, 100]);
      finger("pointerup", 2, [300, 100]);
    });
    await saving(panel);
  };

  /** Catches what the page saves. Reading a real Blob takes longer than the browser waits. */
  const saving = async (panel) => {
    const files = [];
    const [create, click, real] = [URL.createObjectURL, HTMLAnchorElement.prototype.click, window.Blob];
    let blob = null;
    window.Blob = class { constructor([text], { type }) { Object.assign(this, { text, type }); } };
    URL.createObjectURL = (made) => {
      blob = made;
      return "blob:none";
    };
    HTMLAnchorElement.prototype.click = function save() {
      files.push([this.download, blob]);
    };
    for (const name of ["CSV", "SVG", "PNG"]) tool(panel, name).click();
    for (let i = 0; i < 20 && files.length < 3; i += 1) await settle();
    [URL.createObjectURL, HTMLAnchorElement.prototype.click, window.Blob] = [create, click, real];
    seen.saved = files.map(([name, made]) => [name, made.type]);
    seen.csv = files[0][1].text.split("\n").slice(0, 4);
    const image = new DOMParser().parseFromString(files[1][1].text, "image/svg+xml");
    seen.image = [image.documentElement.localName, all("text", image).some((text) => text.textContent === "LR 0.2 (EMA)")];
  };

  const marks = async () => {
    const [bars, dots] = [panelOf("e"), panelOf("f")];
    const count = (d, letter) => d.split(letter).length - 1;
    seen.bars = [0, 1].map((curve) => count(path(bars, curve, "bars"), "Z"));
    const corner = (curve, i) => pairs(path(bars, curve, "bars"))[i];
    const [x, base] = corner(0, 2);
    seen["hover bar"] = await read(bars, [x + 3, base - 10]);
    seen["bars are named"] = ticks(bars).slice(0, 2);
    seen["no log"] = tool(bars, "log x") === undefined;
    const cloud = () => count(path(dots, 0, "dots"), "M");
    seen.cloud = [cloud()];
    tool(dots, "log y").click(); // one value of the cloud is negative
    seen.cloud.push(cloud());
    tool(dots, "log y").click();
    // The path is drawn in the order of the rows, so it turns back.
    const way = pairs(path(dots, 1, "line"));
    seen.way = [way.length, way[1][0] > way[0][0] && way[2][0] < way[1][0]];
    seen["error bars"] = path(panelOf("c"), 0, "errors").includes("V");
    seen["no NaN"] = all(".panel").every((panel) => !panel.innerHTML.includes("NaN") && !panel.innerHTML.includes("Infinity"));
  };

  try {
    seen["hidden before"] = all(".panels").every((panels) => panels.hidden) && buttons.every((button) => !button.hidden);
    buttons.forEach((button) => button.click());
    await settle();
    seen.panels = all(".panel").map((panel) => panel.dataset.panel);
    seen["drawings hidden"] = all(".drawing").map((drawing) => drawing.hidden);
    if (panelOf("a")) {
      await explore();
      await marks();
      buttons[0].click();
      const [room, drawing] = [document.querySelector(".panels"), document.querySelector(".drawing")];
      seen.closed = [room.hidden, drawing.hidden, buttons[0].getAttribute("aria-expanded")];
    }
    // Whatever the texts are, panels can be read, show their runs, and be saved as an image that is well-formed.
    seen.images = [];
    for (const panel of panelOf("a") ? [] : all(".panel")) {
      tool(panel, "All seeds").click();
      key(plotOf(panel), "End");
      window.Blob = class { constructor([text]) { seen.images.push(new DOMParser().parseFromString(text, "image/svg+xml").documentElement.localName); } };
      URL.createObjectURL = () => "blob:none";
      HTMLAnchorElement.prototype.click = () => {};
      tool(panel, "SVG").click();
    }
    await settle();
  } catch (error) {
    seen.failure = String(error.stack ?? error);
  }
  seen.troubles = window.troubles;
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  const result = document.createElement("pre");
  result.id = "test-result";
  result.textContent = JSON.stringify(seen);
  document.body.append(result);
})();

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
  const tip = (panel) => all(".tip > div", panel).map((line) => line.textContent);
  const tool = (panel, words) => all(".tools button", panel).find((button) => button.textContent === words);
  const at = (plot, [x, y]) => {
    const box = plot.getBoundingClientRect();
    return { bubbles: true, cancelable: true, clientX: box.left + x, clientY: box.top + y, button: 0, pointerId: 1 };
  };
  const pointer = (plot, name, place) => plot.dispatchEvent(new PointerEvent(name, at(plot, place)));
  const key = (plot, name) => plot.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const settle = () => new Promise((resolve) => setTimeout(resolve, 100));

  const explore = () => {
    const panel = panelOf("a");
    const plot = plotOf(panel);
    seen.curves = curves(panel, "line");
    seen.dashes = all('[data-part="line"]', panel).map((line) => line.hasAttribute("stroke-dasharray"));

    const points = pairs(path(panel, 0, "line"));
    pointer(plot, "pointermove", [points[0][0] + 2, points[0][1] - 2]);
    seen["hover first"] = tip(panel);
    pointer(plot, "pointermove", points[3]);
    seen["hover fourth"] = tip(panel);
    const [box, frame] = [panel.querySelector(".tip"), panel].map((element) => element.getBoundingClientRect());
    seen["tip inside"] = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.width > 50;
    pointer(plot, "pointermove", [1, 1]);
    seen["hover nothing"] = panel.querySelector(".tip").hidden;
    const spoken = () => panel.querySelector("[aria-live]").textContent;
    key(plot, "ArrowRight");
    key(plot, "ArrowRight");
    seen["key right"] = spoken();
    key(plot, "ArrowDown");
    seen["key down"] = spoken();

    const name = panel.querySelector(".legend button");
    for (const what of ["toggled", "toggled back"]) {
      name.click();
      seen[what] = [name.getAttribute("aria-pressed"), curves(panel, "line")];
    }

    // On a linear axis, equal differences have equal lengths; on a logarithmic axis they do not.
    const [before, all_] = [pairs(path(panel, 0, "line")), ticks(panel)];
    seen["ticks log"] = all_.includes("20") && all_.includes("10");
    tool(panel, "log y").click();
    const linear = pairs(path(panel, 0, "line"));
    const values = [31.04459952211101, 28.791819761213173, 26.729377029346633]; // the first rows of the CSV
    const ratio = (linear[1][1] - linear[0][1]) / (linear[2][1] - linear[1][1]);
    const expected = (values[1] - values[0]) / (values[2] - values[1]);
    seen.linear = [tool(panel, "log y").getAttribute("aria-pressed"), Math.abs(ratio - expected) < 0.01, !same(before, linear)];
    tool(panel, "log y").click();
    tool(panel, "log x").click();
    // Epoch 0 has no place on a logarithmic axis.
    seen["log x"] = [tool(panel, "log x").getAttribute("aria-pressed"), pairs(path(panel, 0, "line")).length === points.length - 1];
    tool(panel, "log x").click();

    const start = ticks(panel);
    const narrower = () => {
      const [now, then] = [xTicks(panel), start.slice(0, xTicks(panel).length).map(number)];
      return Math.max(...now) - Math.min(...now) < Math.max(...then) - Math.min(...then) && !same(start, ticks(panel));
    };
    for (let i = 0; i < 8; i += 1) {
      plot.dispatchEvent(new WheelEvent("wheel", { ...at(plot, points[10]), deltaY: -120 }));
    }
    seen.wheel = { narrower: narrower() };
    plot.dispatchEvent(new MouseEvent("dblclick", at(plot, points[10])));
    seen.wheel.back = same(start, ticks(panel));

    const drag = (from, to, end) => {
      pointer(plot, "pointerdown", from);
      pointer(plot, "pointermove", to);
      end();
    };
    drag(points[8], [points[16][0], points[16][1]], () => pointer(plot, "pointerup", points[16]));
    seen.drag = { narrower: narrower() };
    tool(panel, "Show all").click();
    seen.drag.back = same(start, ticks(panel));
    drag(points[8], points[8], () => pointer(plot, "pointerup", points[8]));
    seen["a click is no zoom"] = same(start, ticks(panel));
    drag(points[8], points[16], () => key(plot, "Escape"));
    pointer(plot, "pointerup", points[16]);
    seen["escape ends a drag"] = same(start, ticks(panel));

    for (let i = 0; i < 5; i += 1) key(plot, "+");
    seen.keys = { narrower: narrower() };
    key(plot, "0");
    seen.keys.back = same(start, ticks(panel));
  };

  const marks = () => {
    const [bars, dots] = [panelOf("e"), panelOf("f")];
    const count = (d, letter) => d.split(letter).length - 1;
    seen.bars = [0, 1].map((curve) => count(path(bars, curve, "bars"), "Z"));
    const corner = (curve, i) => pairs(path(bars, curve, "bars"))[i];
    const [x, base] = corner(0, 2);
    pointer(plotOf(bars), "pointermove", [x + 3, base - 10]);
    seen["hover bar"] = tip(bars);
    const [left, top] = path(bars, 0, "diverged").match(/M([\d.]+) ([\d.]+)/).slice(1).map(Number);
    pointer(plotOf(bars), "pointermove", [left + 3, top + 3]);
    seen["hover lost"] = tip(bars);
    seen["log disabled"] = ["log x", "log y"].map((name) => tool(dots, name).disabled);
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
      explore();
      marks();
      buttons[0].click();
      const [room, drawing] = [document.querySelector(".panels"), document.querySelector(".drawing")];
      seen.closed = [room.hidden, drawing.hidden, buttons[0].getAttribute("aria-expanded")];
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

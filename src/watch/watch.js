"use strict";

// Asks for the values every second and draws a card for each run. All text of the answer is set as text, never as HTML.

const EVERY = 1000;
const [WIDTH, HEIGHT] = [200, 112];
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 8, 8, 22];
const SVG = "http://www.w3.org/2000/svg";

const cards = new Map();
const list = document.getElementById("runs");
const summary = document.getElementById("summary");

function element(name, parent, text) {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  parent.append(made);
  return made;
}

function shape(name, parent, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

function short(number) {
  return Number(number.toPrecision(3)).toString();
}

function seconds(count) {
  return count < 120 ? `${count} s` : `${Math.round(count / 60)} min`;
}

// Draws numbers by epoch; `tip` is the latest number, which may be newer than the last point.
function draw(svg, name, points, tip) {
  svg.replaceChildren();
  const all = tip ? [...points, tip] : points;
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const at = (value, low, high, from, to) => from + (high > low ? (value - low) / (high - low) : 0.5) * (to - from);
  const place = ([x, y]) => [at(x, x0, x1, LEFT, WIDTH - RIGHT), at(y, y0, y1, HEIGHT - BOTTOM, TOP)];
  shape("line", svg, { x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM + 4, y2: HEIGHT - BOTTOM + 4 });
  const label = (text, x, y, anchor) => {
    shape("text", svg, { x, y, "text-anchor": anchor }).textContent = text;
  };
  label(short(y1), LEFT - 6, TOP + 6, "end");
  if (y1 > y0) label(short(y0), LEFT - 6, HEIGHT - BOTTOM + 2, "end");
  label(short(x0), LEFT, HEIGHT - 3, "start");
  if (x1 > x0) label(short(x1), WIDTH - RIGHT, HEIGHT - 3, "end");
  const path = points.map((point) => place(point).map((part) => part.toFixed(1)).join(" ")).join("L");
  if (points.length > 1) shape("path", svg, { d: `M${path}` });
  const [cx, cy] = place(all[all.length - 1]);
  shape("circle", svg, { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 3 });
  svg.setAttribute("aria-label", `${name} from ${short(ys[0])} to ${short(ys[ys.length - 1])}, epochs ${short(x0)} to ${short(x1)}`);
}

function newChart(parent, name, kind) {
  const figure = element("figure", parent);
  figure.className = kind;
  element("figcaption", figure, name);
  const svg = shape("svg", figure, { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  return (points, tip) => {
    figure.hidden = points.length === 0 && !tip;
    if (!figure.hidden) draw(svg, name, points, tip);
  };
}

function newCard(run) {
  const card = document.createElement("article");
  element("h2", card, run.name);
  const state = element("p", card);
  state.className = "state";
  const done = element("progress", card);
  done.max = 1;
  done.setAttribute("aria-label", "share of the stage that is done");
  const values = element("dl", card);
  const charts = element("div", card);
  charts.className = "charts";
  return {
    card, state, done, values,
    loss: newChart(charts, "Training loss by epoch", "train"),
    error: newChart(charts, "Test error in % by epoch", "test"),
  };
}

function describe(run) {
  const where = run.host ? ` on ${run.host}` : "";
  const job = run.job ? ` (job ${run.job})` : "";
  const who = `process ${run.process}${where}${job} of ${run.user}`;
  if (!run.is_running) return `ended; its last values came ${seconds(run.quiet)} ago from ${who}`;
  return run.quiet > 15 ? `no news for ${seconds(run.quiet)}; ${who}` : who;
}

function update(shown, run) {
  const set = (place, text) => {
    if (place.textContent !== text) place.textContent = text;
  };
  set(shown.state, describe(run));
  shown.card.classList.toggle("ended", !run.is_running);
  shown.done.value = run.done;
  // When a stage ends, its last share is not known.
  shown.done.hidden = !run.is_running;
  const rows = [];
  if (run.is_running) rows.push(["Done", `${Math.round(100 * run.done)} %`]);
  if (run.stage !== run.name) rows.push(["Segment", run.stage.slice(run.name.length)]);
  if (run.epoch !== null) rows.push(["Epoch", run.epoch.toFixed(1)]);
  if (run.loss !== null) rows.push(["Training loss", run.loss.toFixed(3)]);
  if (run.test_error !== null) rows.push(["Test error", `${run.test_error.toFixed(1)} %`]);
  if (run.images_per_second !== null) rows.push(["Images/s", run.images_per_second.toFixed(0)]);
  shown.values.replaceChildren();
  for (const [name, value] of rows) {
    const row = element("div", shown.values);
    element("dt", row, name);
    element("dd", row, value);
  }
  const tip = run.epoch !== null && run.loss !== null ? [run.epoch, run.loss] : null;
  const last = run.losses.length ? run.losses[run.losses.length - 1][0] : 0;
  shown.loss(run.losses, tip && tip[0] > last ? tip : null);
  shown.error(run.test_errors, null);
}

function show(state) {
  const seen = new Set();
  state.runs.forEach((run, index) => {
    const key = `${run.name} ${run.identity}`;
    seen.add(key);
    if (!cards.has(key)) cards.set(key, newCard(run));
    const shown = cards.get(key);
    update(shown, run);
    if (list.children[index] !== shown.card) list.insertBefore(shown.card, list.children[index] ?? null);
  });
  for (const [key, shown] of cards) {
    if (seen.has(key)) continue;
    shown.card.remove();
    cards.delete(key);
  }
  const count = state.runs.filter((run) => run.is_running).length;
  const text = count
    ? `${count} running now. Stages that take less than two seconds are not shown.`
    : "Nothing runs now. The page shows stages as soon as a make computes them.";
  if (summary.textContent !== text) summary.textContent = text;
}

async function ask() {
  if (!document.hidden) {
    try {
      const answer = await fetch("state.json");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.json());
    } catch {
      summary.textContent = "wdpipe watch does not answer: it has probably ended. The curves below are its last ones.";
    }
  }
  setTimeout(ask, EVERY);
}

ask();

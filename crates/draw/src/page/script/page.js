
// ---- the page -----------------------------------------------------------------------------------

const HINT = "Point at a curve to read all curves there. Drag to move, Ctrl and the wheel or two fingers to zoom. "
  + "Choose names below a panel to see only those curves.";

const explore = (section, opener, data) => {
  const room = section.querySelector(".panels");
  const drawing = section.querySelector(".drawing");
  const words = opener.firstChild;
  let panels = null;
  let width = 0;
  const fit = () => {
    if (room.hidden || room.clientWidth === width) return;
    width = room.clientWidth;
    panels.forEach((panel) => panel.draw());
  };
  opener.addEventListener("click", () => {
    const open = opener.getAttribute("aria-expanded") !== "true";
    opener.setAttribute("aria-expanded", String(open));
    words.textContent = open ? "Back to the drawing " : "Explore ";
    room.hidden = !open;
    // The drawing stays where it shows more than the panels do.
    drawing.hidden = open && data.others.length === 0;
    if (open && panels === null) {
      const links = data.xAxes.map((axis) => new Link(axis));
      panels = data.panels.map((panel) => new Panel(panel, links[panel.x], data));
      room.append(html("p", { class: "hint" }, HINT));
      if (data.others.length) room.append(html("p", { class: "hint" }, `Only in the drawing: ${data.others.join(", ")}.`));
      room.append(html("div", { class: "grid" }, ...panels.map((panel) => panel.element)));
      new ResizeObserver(() => requestAnimationFrame(fit)).observe(room);
    }
    fit();
  });
  opener.hidden = false;
};

/** Unfolds what hides the target of a link. */
const reveal = () => {
  const target = document.getElementById(location.hash.slice(1));
  for (let at = target; at; at = at.parentElement) if (at.localName === "details") at.open = true;
  target?.scrollIntoView();
};

for (const section of document.querySelectorAll("main > section")) {
  const [opener, numbers] = [section.querySelector("button.explore"), section.querySelector("script.numbers")];
  const data = numbers && JSON.parse(numbers.textContent);
  if (opener && data?.form === FORM) explore(section, opener, data);
}
addEventListener("hashchange", reveal);
if (location.hash) reveal();

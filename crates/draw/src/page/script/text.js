
// ---- elements and text --------------------------------------------------------------------------

const make = (create) => (name, attributes = {}, ...children) => {
  const element = create(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const html = make((name) => document.createElement(name));
const svg = make((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const px = (value) => String(Math.round(value * 100) / 100);

/** A number with some significant digits. */
const short = (value, digits = 5) => {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(Math.min(digits - 1, 3)).replace("e+", "e").replaceAll("-", "−");
  return String(Number(value.toPrecision(digits))).replace("-", "−");
};

const button = (text, action, attributes = {}) => {
  const element = html("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", action);
  return element;
};

/** A button that is pressed or not. */
const toggle = (text, pressed, action) => {
  const element = button(text, () => {
    const now = element.getAttribute("aria-pressed") !== "true";
    element.setAttribute("aria-pressed", String(now));
    action(now);
  }, { "aria-pressed": String(pressed) });
  return element;
};

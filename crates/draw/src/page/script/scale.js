
// ---- scales -------------------------------------------------------------------------------------

const PLACES = 1e5; // the unit of the places of ticks
const CHARACTER = 6.6; // width of a character of a tick label in pixels
const LINE = 15; // height of a tick label in pixels
const DEEPEST = 1 / 32; // the smallest part of an axis that zooming shows

/** From values to pixels and back. The window is the part of the axis that is seen, from 0 to 1. */
const scaleOf = (axis, log, [start, end], from, to) => {
  const { low, high, ticks } = log ? axis.log : axis.linear;
  const inner = log ? (value) => (value > 0 ? Math.log(value) : NaN) : (value) => value / 2;
  const pixel = (place) => from + ((place - start) / (end - start)) * (to - from);
  return {
    log, from, to, start, end,
    at: (value) => pixel((inner(value) - low) / (high - low)),
    place: (at) => start + ((at - from) / (to - from)) * (end - start),
    ticks: (isAcross) => seen(ticks, [start, end], pixel, isAcross),
  };
};

/** The ticks in a window: of the finest level for its size whose labels do not touch. */
const seen = (levels, [start, end], pixel, isAcross) => {
  const apart = (a, b) => Math.abs(b.at - a.at) >= (isAcross ? ((a.text.length + b.text.length) / 2) * CHARACTER + 8 : LINE);
  const fitting = Math.floor(Math.log2(1 / (end - start)) + 1e-6);
  for (let k = Math.min(fitting, levels.length - 1); k >= 0; k -= 1) {
    const { at, text } = levels[k];
    const inside = at.map((place, i) => ({ place: place / PLACES, text: text[i] }))
      .filter(({ place }) => place >= start - 1e-6 && place <= end + 1e-6)
      .map(({ place, text }) => ({ at: pixel(place), text }));
    if (inside.every((tick, i) => i === 0 || apart(inside[i - 1], tick))) return inside;
    if (k === 0) {
      return inside.reduce((kept, tick) => (kept.length && !apart(kept.at(-1), tick) ? kept : [...kept, tick]), []);
    }
  }
  return [];
};

/** A window of a given size, moved into the axis. */
const within = (start, size) => {
  const width = clamp(size, DEEPEST, 1);
  const from = clamp(start, 0, 1 - width);
  return [from, from + width];
};

// Draws the panels of figures from the numbers in the page: to zoom, to read values, to choose curves.
// Everything static is there without this script. Text comes in by textContent and setAttribute only.
//
// The files of this folder are joined to one module, in this order: data, text, scale, curves, panel, reading, gestures,
// export, page. A panel needs only an element, its data, and its horizontal axis: `new Panel(data, link, source)`.
//
// The numbers of a figure are the JSON in its element of class "numbers":
//   { form: 2, name, root,
//     xAxes: [axis],            panels with the same horizontal axis share it: they zoom, pan and are read together
//     panels: [{ id, title, x: index into xAxes, y: axis, curves: [curve] }],
//     others: [ids of the panels that are only in the drawing] }
//   axis  = { label, isLog, linear: scale or null, log: scale or null }
//   scale = { low, high, ticks: [level] }
//           low and high are limits of value / 2 (linear) or of ln(value) (log). ticks[0] is for the whole axis, ticks[k] for
//           2^-k of it. The script computes no tick and no label.
//   level = { at: [places from 0 to 100000 along the axis], text: [labels] }
//   curve = { label, colour, dash, dashed, marker, mark: "line" | "points" | "bars" | "scatter" | "path",
//             x: [], y: [], std: [], low: [], high: [], n: [], diverged: [],   one entry for each point; null is no number
//             runs: [{ name, y: [one entry for each point] }] }
const FORM = 2;

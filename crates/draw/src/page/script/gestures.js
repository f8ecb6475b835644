
// ---- pointer, wheel and keys --------------------------------------------------------------------

const STILL = 4; // pixels that a pointer may move in a click

Object.assign(Panel.prototype, {
  listen() {
    const { plot } = this;
    this.pointers = new Map(); // the places of the buttons and fingers that are down
    let latest = null;
    // Reading once for each frame is enough.
    const readSoon = (at) => {
      if (latest === null) {
        requestAnimationFrame(() => {
          if (latest && this.pointers.size === 0) this.read(latest);
          latest = null;
        });
      }
      latest = at;
    };
    plot.addEventListener("pointerdown", (event) => this.press(event));
    plot.addEventListener("pointermove", (event) => {
      const at = this.where(event);
      if (this.pointers.has(event.pointerId)) this.dragTo(event.pointerId, at);
      else if (this.isInside(at)) readSoon(at);
      else this.leave();
    });
    for (const name of ["pointerup", "pointercancel"]) plot.addEventListener(name, (event) => this.release(event, name));
    // What a finger has read stays after it is lifted.
    plot.addEventListener("pointerleave", (event) => this.pointers.size || event.pointerType === "touch" || this.leave());
    plot.addEventListener("blur", () => this.leave());
    plot.addEventListener("dblclick", () => this.showAll());
    // The wheel alone scrolls the page. With Ctrl it zooms, as does a pinch on a touchpad, which browsers report so.
    plot.addEventListener("wheel", (event) => {
      const at = this.where(event);
      if (!(event.ctrlKey || event.metaKey) || !this.isInside(at)) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 200 : 1;
      this.zoomBy(clamp(Math.exp(event.deltaY * lines * 0.005), 0.5, 2), at);
    }, { passive: false });
    plot.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.key(event.key, event.shiftKey)) return;
      event.preventDefault();
    });
  },

  where(event) {
    const box = this.plot.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  },

  isInside({ x, y }) {
    const { left, right, top, bottom } = this.area;
    return x >= left && x <= right && y >= top && y <= bottom;
  },

  leave() {
    for (const panel of this.link.panels) panel.forget();
  },

  press(event) {
    const at = this.where(event);
    if (event.button !== 0 || !this.isInside(at)) return;
    this.pointers.set(event.pointerId, at);
    this.pressed = at;
    // A pointer made by a program cannot be captured.
    if (event.isTrusted) this.plot.setPointerCapture(event.pointerId);
  },

  /** Moves the view with one pointer, and zooms with two. */
  dragTo(id, at) {
    const before = this.pointers.get(id);
    const others = [...this.pointers].filter(([other]) => other !== id).map(([, place]) => place);
    if (others.length) {
      const [other] = others;
      const distance = (a) => Math.max(Math.hypot(a.x - other.x, a.y - other.y), 10);
      const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
      this.zoomBy(distance(before) / distance(at), middle);
      this.draw();
      this.moveBy((at.x - before.x) / 2, (at.y - before.y) / 2);
      this.draw();
    } else {
      if (this.pressed && Math.hypot(at.x - this.pressed.x, at.y - this.pressed.y) < STILL) return;
      this.pressed = null;
      this.leave();
      this.moveBy(at.x - before.x, at.y - before.y);
      this.draw(); // so that the next move starts from here
    }
    this.pointers.set(id, at);
  },

  release(event, name) {
    if (!this.pointers.delete(event.pointerId)) return;
    // A click or a touch reads the values there.
    if (name === "pointerup" && this.pressed) this.read(this.pressed);
    this.pressed = null;
  },

  /** What a key does; whether it does anything. */
  key(key, shift) {
    const { left, right, top, bottom } = this.area;
    const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (shift && moves[key]) this.moveBy(...moves[key]);
    else if (key === "+" || key === "=") this.zoomBy(1 / 1.5, middle);
    else if (key === "-" || key === "_") this.zoomBy(1.5, middle);
    else if (key === "0") this.showAll();
    else if (key === "Escape") this.leave();
    else if (key === "ArrowLeft" || key === "ArrowRight") this.step(key === "ArrowRight" ? 1 : -1);
    else if (key === "Home" || key === "End") this.step(key === "End" ? Infinity : -Infinity);
    else return false;
    return true;
  },
});

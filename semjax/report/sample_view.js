"use strict";
// The picture: outlines on a micrograph, zoomed, panned, and particles found under the pointer.

const HALF = 2; // of the paths' units in a pixel
const MOST_ZOOM = 32; // screen pixels a picture's pixel

class View {
  // `stateOf(i)` tells how particle i of the sample is drawn; `onSelect(i)` is told of clicks.
  constructor(canvas, { stateOf, onSelect, colors }) {
    Object.assign(this, { canvas, stateOf, onSelect, colors });
    this.context = canvas.getContext("2d");
    this.pointers = new Map();
    this.hovered = this.selected = -1;
    this.image = null;
    this.draw = oncePerFrame(() => this.paint());
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.listen();
  }

  // Shows an image: {name, height, width, picture, particles: [[i, path]], pixel_size_nm}.
  show(image) {
    this.image = image;
    this.hovered = this.selected = -1;
    this.paths = image.particles.map(([i, path]) => ({ i, path: new Path2D(path) }));
    this.picture = null;
    if (image.picture) {
      const picture = new Image();
      picture.onload = () => {
        if (this.image !== image) return;
        this.picture = picture;
        this.draw();
      };
      picture.onerror = () => {
        if (this.image === image) this.canvas.dispatchEvent(new CustomEvent("nopicture"));
      };
      picture.src = image.picture;
    }
    this.canvas.style.aspectRatio = `${image.width} / ${image.height}`;
    this.fit();
  }

  // The whole image; `scale` is screen pixels a picture's pixel, `x` and `y` its corner.
  fit() {
    if (!this.image) return;
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.least = Math.min(clientWidth / this.image.width, clientHeight / this.image.height);
    this.scale = this.least;
    this.x = (clientWidth - this.scale * this.image.width) / 2;
    this.y = (clientHeight - this.scale * this.image.height) / 2;
    this.bound();
  }

  // Zooms by a factor; the point of the picture at (x, y) of the canvas stays where it is.
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const scale = Math.min(Math.max(this.scale * factor, this.least), MOST_ZOOM);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.bound();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.bound();
  }

  // No more ground beside the picture than there has to be.
  bound() {
    const { clientWidth, clientHeight } = this.canvas;
    const keep = (at, length, room) =>
      length <= room ? (room - length) / 2 : Math.min(0, Math.max(at, room - length));
    this.x = keep(this.x, this.scale * this.image.width, clientWidth);
    this.y = keep(this.y, this.scale * this.image.height, clientHeight);
    // A finger scrolls the page until there is something to pan.
    this.canvas.style.touchAction = this.scale > this.least * 1.001 ? "none" : "pan-y";
    this.draw();
  }

  // The particle at a point of the canvas, or -1.
  find(x, y) {
    const [px, py] = [((x - this.x) / this.scale) * HALF, ((y - this.y) / this.scale) * HALF];
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    const hit = this.paths.find(({ path }) => this.context.isPointInPath(path, px, py, "evenodd"));
    return hit ? hit.i : -1;
  }

  // Where the middle of a particle's first ring begins is seen, zoomed in if it is small.
  select(i) {
    this.selected = i;
    this.draw();
    this.onSelect(i);
  }

  paint() {
    const { context: c, canvas, image } = this;
    if (!image) return;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = "#e9eef2";
    c.fillRect(0, 0, canvas.width, canvas.height);
    const scale = this.scale * this.ratio;
    c.setTransform(scale, 0, 0, scale, this.x * this.ratio, this.y * this.ratio);
    c.imageSmoothingEnabled = this.scale < 3;
    c.imageSmoothingQuality = "high";
    if (this.picture) c.drawImage(this.picture, 0, 0, image.width, image.height);
    c.scale(1 / HALF, 1 / HALF);
    const line = HALF / this.scale; // one screen pixel
    const marked = [];
    for (const item of this.paths) {
      if (item.i === this.selected || item.i === this.hovered) marked.push(item);
      else this.outline(item, 1.4 * line);
    }
    for (const item of marked) {
      c.lineWidth = 4.5 * line;
      c.strokeStyle = "#ffffff";
      c.stroke(item.path);
      this.outline(item, 2.4 * line);
    }
    this.drawScaleBar();
  }

  outline({ i, path }, width) {
    const { context: c } = this;
    const state = this.stateOf(i);
    c.lineWidth = width;
    c.setLineDash(state === "dropped" ? [4 * width, 3 * width] : []);
    c.strokeStyle = this.colors[state];
    c.stroke(path);
    if (i === this.selected) {
      c.globalAlpha = 0.18;
      c.fillStyle = this.colors[state];
      c.fill(path, "evenodd");
      c.globalAlpha = 1;
    }
    c.setLineDash([]);
  }

  drawScaleBar() {
    const { context: c, canvas, image } = this;
    const unit = image.pixel_size_nm ? "nm" : "px";
    const size = image.pixel_size_nm || 1;
    const most = ((canvas.clientWidth / 5) * size) / this.scale;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = power * [5, 2, 1].find((step) => step * power <= most);
    const width = (length / size) * this.scale;
    const text = unit === "nm" && length >= 1000 ? `${length / 1000} µm` : `${format(length)} ${unit}`;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.font = "600 12px system-ui, sans-serif";
    const box = Math.max(width, c.measureText(text).width) + 16;
    const [x, y] = [canvas.clientWidth - box - 8, canvas.clientHeight - 42];
    c.fillStyle = "rgba(255, 255, 255, 0.85)";
    c.fillRect(x, y, box, 34);
    c.fillStyle = "#22303c";
    c.textAlign = "center";
    c.fillText(text, x + box / 2, y + 15);
    c.fillRect(x + (box - width) / 2, y + 23, width, 4);
  }

  listen() {
    const { canvas } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    // The wheel scrolls the page unless the picture has been clicked, or Ctrl is held.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
      event.preventDefault();
      const { x, y } = place(event);
      this.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 150), x, y);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.focus({ preventScroll: true });
      this.pointers.set(event.pointerId, place(event));
      this.moved = this.pointers.size > 1;
      if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = place(event);
      const before = this.pointers.get(event.pointerId);
      if (!before) return this.hover(now);
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
      if (others.length) {
        const [, still] = others[0];
        const apart = (a) => Math.hypot(a.x - still.x, a.y - still.y) || 1;
        this.zoom(apart(now) / apart(before), still.x, still.y);
      } else if (this.moved || Math.hypot(now.x - before.x, now.y - before.y) > 4) {
        this.moved = true;
        this.pan(now.x - before.x, now.y - before.y);
      } else {
        return; // a click with a trembling hand
      }
      this.pointers.set(event.pointerId, now);
    });
    canvas.addEventListener("pointerup", (event) => {
      const known = this.pointers.delete(event.pointerId);
      const { x, y } = place(event);
      if (known && !this.moved) this.select(this.find(x, y));
    });
    for (const end of ["pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", (event) => {
      const { x, y } = place(event);
      this.zoom(2, x, y);
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (event.key === "+" || event.key === "=") this.zoom(1.5);
      else if (event.key === "-") this.zoom(1 / 1.5);
      else if (event.key === "0") this.fit();
      else if (event.key === "Escape") this.select(-1);
      else if (step[event.key]) this.pan(...step[event.key]);
      else return;
      event.preventDefault();
    });
  }

  hover(at) {
    const found = at && this.image ? this.find(at.x, at.y) : -1;
    if (found === this.hovered) return;
    this.hovered = found;
    this.canvas.style.cursor = found >= 0 ? "pointer" : "grab";
    this.draw();
  }
}

// Runs what it is given at most once before the next picture of the screen.
function oncePerFrame(action) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      action();
    });
  };
}

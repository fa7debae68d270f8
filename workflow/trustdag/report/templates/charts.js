// Charts that a reader can zoom into: small multiples with one legend, drawn as SVG from JSON. A panel takes the focus,
// and every point can be reached by keys; what is under the pointer or the cursor is said in words below the panel.
const WIDTH = 360, HEIGHT = 236, LEFT = 54, RIGHT = 12, TOP = 10, BOTTOM = 36;
const DODGE = 7, CLOSEST = 200, MOST_BANDS = 4, MINUS_SIGN = "\u2212";
const INNER = {width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM};

function make(tag, attributes, ...children) {
  const html = ["div", "p", "button", "output", "label", "select", "option", "input", "span"].includes(tag);
  const made = html ? document.createElement(tag) : document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const short = (value) => String(Number(value.toPrecision(4))).replace("-", MINUS_SIGN);
const UNITS = [[1e9, "B"], [1e6, "M"], [1e3, "k"]];
const sized = (value) => {
  const [unit, letter] = UNITS.find(([least]) => value >= least * 0.9995) || [1, ""];
  return Number((value / unit).toPrecision(2)) + letter;
};

function ticks([low, high], wanted, least = 0) {
  const rough = Math.max((high - low) / wanted, least), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const made = [];
  for (let place = Math.ceil(low / step); place * step <= high + step * 1e-9; place++) made.push(place * step);
  return made;
}

// Ticks of a logarithmic axis of sizes: the sizes that occur, without those whose names would overlap.
function sizeTicks(values, place) {
  const kept = [];
  for (const value of [...new Set(values)].sort((a, b) => a - b)) {
    if (!kept.length || place(value) - place(kept[kept.length - 1]) > 34) kept.push(value);
  }
  return kept;
}

function range(values, padding) {
  const low = Math.min(...values), high = Math.max(...values);
  const pad = high > low ? (high - low) * padding : Math.abs(high) * 0.1 || 0.5;
  return [low - pad, high + pad];
}

class Panel {
  constructor(chart, data, number) {
    this.chart = chart;
    this.data = data;
    this.number = number;
    this.cursor = null;
    this.points = [];
    this.svg = make("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "application",
      "aria-roledescription": "chart", "aria-label": `${data.title}. ${data.y} by ${data.x}`, "aria-describedby": chart.help});
    this.output = make("output", {"aria-live": "polite"});
    const heading = make("p", {class: "panel-title"}, data.title, ...(data.note ? [make("span", {}, data.note)] : []));
    this.element = make("div", {class: "panel"}, heading, this.svg, this.output);
    this.listen();
  }

  scaled(x) { return this.data.log ? Math.log10(x) : x; }
  // Series of one kind stand at the same place beside a size, others next to them.
  kind({keys, name, of, look}) {
    const first = this.data.series.find((own) => String(own.keys) === String(keys));
    return String(keys) + (look === "published" || first.name === (of || name) ? "" : of || name);
  }
  get dots() { return this.data.series.some(({look}) => look === "level"); }
  get shown() { return this.data.series.filter(({keys}) => !keys.some((key) => this.chart.hidden.has(key))); }
  get domain() { return this.chart.zoom.get(this.data.group) || this.whole; }
  // All of the panels that zoom together.
  get whole() {
    const together = this.chart.view.panels.filter(({group}) => group === this.data.group);
    const values = together.flatMap(({series}) => series.flatMap(({points}) => points.map(([x]) => this.scaled(x))));
    return range(values, this.dots ? 0.1 : 0.02);
  }

  zoomTo(low, high) {
    const [first, last] = this.whole, least = (last - first) / CLOSEST;
    if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
    const span = Math.min(high - low, last - first), start = Math.min(Math.max(low, first), last - span);
    this.chart.zoomed(this.data.group, span >= (last - first) * 0.999 ? null : [start, start + span]);
    const told = (place) => this.data.log ? sized(10 ** place) : short(place);
    this.output.textContent = `${this.data.x} ${told(this.domain[0])} to ${told(this.domain[1])}`;
  }

  zoomBy(factor, center) {
    const [low, high] = this.domain;
    this.zoomTo(center - (center - low) * factor, center + (high - center) * factor);
  }

  draw() {
    const {data, domain} = this, [low, high] = domain;
    const across = (x) => LEFT + (this.scaled(x) - low) / (high - low) * INNER.width;
    const inside = (x) => this.scaled(x) >= low && this.scaled(x) <= high;
    const heights = this.shown.flatMap(({points}) => points.filter(([x]) => inside(x))
      .flatMap(([, ...values]) => values.slice(0, 3).filter(Number.isFinite)));
    const [bottom, top] = range([...heights, ...(data.line === null ? [] : [data.line])].length
      ? [...heights, ...(data.line === null ? [] : [data.line])] : [0, 1], 0.07);
    const up = (y) => TOP + (top - y) / (top - bottom) * INNER.height;
    const clip = `clip-${this.chart.id}-${this.number}`;
    const marks = make("g", {"clip-path": `url(#${clip})`});
    this.points = [];
    const kinds = [...new Set(this.shown.map((series) => this.kind(series)))];
    // The first of a stage's runs has the darkest color and is drawn last.
    for (const series of [...this.shown].reverse()) {
      const dodge = this.dots ? (kinds.indexOf(this.kind(series)) - (kinds.length - 1) / 2) * DODGE : 0;
      this.drawSeries(marks, series, (x) => across(x) + dodge, up, inside);
    }
    this.overlay = make("g", {});
    this.svg.replaceChildren(make("clipPath", {id: clip}, make("rect", {x: LEFT, y: TOP - 5, width: INNER.width + RIGHT, height: INNER.height + 10})),
      this.axes(across, up, [bottom, top]), marks, this.overlay);
  }

  axes(across, up, heights) {
    const {data, domain} = this, group = make("g", {"aria-hidden": "true"}), floor = TOP + INNER.height;
    const text = (x, y, anchor, content) => group.append(make("text", {x, y, "text-anchor": anchor}, content));
    for (const tick of ticks(heights, 4)) {
      group.append(make("path", {class: "grid", d: `M${LEFT} ${up(tick)}H${WIDTH - RIGHT}`}));
      text(LEFT - 6, up(tick) + 4, "end", short(tick));
    }
    const values = data.series.flatMap(({points}) => points.map(([x]) => x)).filter((x) => this.scaled(x) >= domain[0] && this.scaled(x) <= domain[1]);
    for (const tick of data.log ? sizeTicks(values, across) : ticks(domain, 5, 1)) {
      group.append(make("path", {class: "axis", d: `M${across(tick)} ${floor}v4`}));
      text(across(tick), floor + 16, "middle", data.log ? sized(tick) : short(tick));
    }
    text(LEFT + INNER.width / 2, HEIGHT - 3, "middle", data.x);
    group.append(make("path", {class: "axis", d: `M${LEFT} ${TOP}V${floor}H${WIDTH - RIGHT}`}));
    if (data.line !== null) group.append(make("path", {class: "level-line", d: `M${LEFT} ${up(data.line)}H${WIDTH - RIGHT}`}));
    return group;
  }

  drawSeries(marks, series, across, up, inside) {
    const {color, look, points} = series, spots = points.map(([x, y]) => [across(x), up(y)]);
    const path = "M" + spots.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    const add = (tag, attributes) => marks.append(make(tag, attributes));
    if (look === "line" && points[0].length > 2 && this.shown.length <= MOST_BANDS) {
      const edge = (place, order) => order.map((point) => `${across(point[0]).toFixed(1)} ${up(point[place]).toFixed(1)}`).join("L");
      add("path", {class: "band", fill: color, d: `M${edge(2, points)}L${edge(3, [...points].reverse())}Z`});
    }
    if (look !== "seed" && points.length > 1) add("path", {class: `series ${look}`, stroke: color, d: path});
    points.forEach(([x, y, low, high, note], place) => {
      const [px, py] = spots[place];
      if (look === "level" && Number.isFinite(low) && Number.isFinite(high)) add("path", {class: "interval-line", stroke: color, d: `M${px} ${up(low)}V${up(high)}`});
      if (look === "seed") add("path", {class: "series", stroke: color, d: `M${px - 4} ${py}h8`});
      else if (look === "published") add("circle", {class: "hollow", stroke: color, cx: px, cy: py, r: 4});
      else if (look === "level" || points.length === 1 || (look === "dots" && points.length <= 60)) add("circle", {fill: color, cx: px, cy: py, r: look === "level" ? 4 : 2.5});
      if (inside(x)) this.points.push({px, py, series, told: note || `${series.name}: ${short(y)} at ${this.data.x} ${short(x)}`});
    });
  }

  say(point) {
    this.cursor = point;
    this.output.textContent = point ? point.told : "";
    this.overlay.replaceChildren(...(point ? [make("circle", {class: "cursor", cx: point.px, cy: point.py, r: 7})] : []));
  }

  nearest(x, y) {
    const far = (point) => Math.hypot(point.px - x, (point.py - y) * 0.6);
    return this.points.reduce((best, point) => best === null || far(point) < far(best) ? point : best, null);
  }

  listen() {
    let start = null;
    const where = (event) => {
      const box = this.svg.getBoundingClientRect();
      return [(event.clientX - box.left) * WIDTH / box.width, (event.clientY - box.top) * HEIGHT / box.height];
    };
    const value = (x) => this.domain[0] + (x - LEFT) / INNER.width * (this.domain[1] - this.domain[0]);
    this.svg.addEventListener("pointerdown", (event) => { [start] = where(event); this.svg.setPointerCapture(event.pointerId); });
    this.svg.addEventListener("pointermove", (event) => {
      const [x, y] = where(event);
      if (start === null) return this.say(this.nearest(x, y));
      const [from, to] = [Math.min(start, x), Math.max(start, x)];
      this.overlay.replaceChildren(make("rect", {class: "chosen", x: from, y: TOP, width: to - from, height: INNER.height}));
    });
    this.svg.addEventListener("pointerup", (event) => {
      const [x, y] = where(event), first = start;
      start = null;
      if (first !== null && Math.abs(x - first) > 8) this.zoomTo(value(Math.min(first, x)), value(Math.max(first, x)));
      else this.say(this.nearest(x, y));
    });
    this.svg.addEventListener("pointercancel", () => { start = null; this.say(null); });
    this.svg.addEventListener("pointerleave", () => { if (start === null) this.say(null); });
    this.svg.addEventListener("dblclick", () => this.chart.zoomed(this.data.group, null));
    this.svg.addEventListener("wheel", (event) => {
      // Without the focus the wheel scrolls the page, as everywhere else.
      if (document.activeElement !== this.svg && !event.ctrlKey) return;
      event.preventDefault();
      this.zoomBy(event.deltaY > 0 ? 1.25 : 0.8, value(where(event)[0]));
    }, {passive: false});
    this.svg.addEventListener("keydown", (event) => { if (this.press(event)) event.preventDefault(); });
  }

  press({key, shiftKey, ctrlKey, metaKey, altKey}) {
    if (ctrlKey || metaKey || altKey) return false;
    const [low, high] = this.domain, step = (high - low) / 4, way = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1}[key];
    if (key === "+" || key === "=") this.zoomBy(0.5, (low + high) / 2);
    else if (key === "-") this.zoomBy(2, (low + high) / 2);
    else if (key === "0" || key === "Home") this.chart.zoomed(this.data.group, null);
    else if (key === "Escape") this.say(null);
    else if (way && shiftKey) this.zoomTo(low + way * step, high + way * step);
    else if (way && this.points.length) this.move(way, key.endsWith("Up") || key.endsWith("Down"));
    else return false;
    return true;
  }

  // The next point of the same curve, or the nearest one of the next curve.
  move(way, toOtherCurve) {
    const {cursor} = this, curves = [...new Set(this.points.map(({series}) => series))];
    if (!cursor) return this.say(this.points[0]);
    const place = curves.indexOf(cursor.series);
    const curve = curves[toOtherCurve ? (place + way + curves.length) % curves.length : place];
    const own = this.points.filter(({series}) => series === curve);
    if (!toOtherCurve) return this.say(own[Math.min(Math.max(own.indexOf(cursor) + way, 0), own.length - 1)]);
    this.say(own.reduce((best, point) => Math.abs(point.px - cursor.px) < Math.abs(best.px - cursor.px) ? point : best));
  }
}

class Chart {
  constructor(figure, data) {
    this.id = figure.id;
    this.help = `${figure.id}-help`;
    this.data = data;
    this.hidden = new Set();
    this.zoom = new Map();
    this.body = figure.querySelector(".chart-body");
    this.reset = make("button", {type: "button", class: "more"}, "Reset zoom");
    this.reset.addEventListener("click", () => { this.zoom.clear(); this.draw(); });
    this.panels = make("div", {class: "panels"});
    this.body.replaceChildren(make("div", {class: "controls"}, ...this.choices(), ...this.legend(), this.reset), this.panels);
    this.show();
  }

  get view() { return this.data.views.find(({what, published}) => what === this.what.value && published === this.published.checked); }

  choices() {
    const whats = [...new Set(this.data.views.map(({what}) => what))], both = this.data.views.some(({published}) => published);
    this.what = make("select", {}, ...whats.map((what) => make("option", {value: what}, what)));
    this.published = make("input", {type: "checkbox"});
    for (const control of [this.what, this.published]) control.addEventListener("change", () => this.show());
    return [...(whats.length > 1 ? [make("label", {}, "Show", this.what)] : []),
      ...(both ? [make("label", {class: "switch"}, this.published, "The paper\u2019s published figures")] : [])];
  }

  legend() {
    const buttons = this.data.keys.map(({name, color}, key) => {
      const swatch = make("span", {class: "swatch"});
      swatch.style.background = color;
      const button = make("button", {type: "button", "aria-pressed": "true"}, ...(color ? [swatch] : []), name);
      button.addEventListener("click", () => {
        if (!this.hidden.delete(key)) this.hidden.add(key);
        button.setAttribute("aria-pressed", String(!this.hidden.has(key)));
        this.draw();
      });
      return button;
    });
    return [...new Set(this.data.keys.map(({group}) => group))].map((group) => make("div",
      {class: "legend", role: "group", "aria-label": `Shown in every panel: ${group}`},
      ...buttons.filter((_, key) => this.data.keys[key].group === group)));
  }

  show() {
    this.zoom.clear();
    this.drawn = this.view.panels.map((panel, number) => new Panel(this, panel, number));
    this.panels.replaceChildren(...this.drawn.map(({element}) => element));
    this.draw();
  }

  zoomed(group, domain) {
    if (domain) this.zoom.set(group, domain);
    else this.zoom.delete(group);
    this.draw();
  }

  draw() {
    this.reset.disabled = !this.zoom.size;
    for (const panel of this.drawn) { panel.draw(); panel.say(null); }
  }
}

document.querySelectorAll("figure.chart").forEach((figure) =>
  new Chart(figure, JSON.parse(document.getElementById(`data-${figure.id}`).textContent)));

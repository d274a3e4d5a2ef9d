"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  // Any two of them, and the grey of the others, stay apart for eyes without one of the three kinds of cones.
  const LIGHT = ["#3f78c4", "#c48e4f", "#7033cc", "#d04369", "#ccc233", "#2b2b82", "#5d2828", "#8cd9a1", "#a1367d", "#555a16"];
  const DARK = ["#5b94dd", "#8b6823", "#a2b7d7", "#91303d", "#85e0c2", "#ccad33", "#84238b", "#dae085", "#8533cc", "#dc8274"];
  const KINDS = { anon: [0, 0], file: [7, 4], shmem: [4, 5], unknown: [-1, -1], swap: [3, 9] };
  const element = (name, attributes = {}, text) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const dark = () => root.dataset.theme === "dark";
  const color = (index) => (index < 0 ? (dark() ? "#6c7885" : "#a3adb8") : (dark() ? DARK : LIGHT)[index % LIGHT.length]);

  // What packed() of report_data.py wrote.
  const unpack = (text) => {
    const bytes = atob(text), out = [];
    let value = 0;
    for (let at = 0; at < bytes.length;) {
      let step = 0, scale = 1, byte;
      do {
        byte = bytes.charCodeAt(at++);
        step += (byte & 127) * scale;
        scale *= 128;
      } while (byte > 127);
      value += step % 2 ? -(step + 1) / 2 : step / 2;
      out.push(value);
    }
    return out;
  };

  const size = (kib) => {
    const mib = kib / 1024;
    return mib >= 10240 ? `${(mib / 1024).toFixed(2)} GiB` : `${mib.toFixed(1)} MiB`;
  };
  const seconds = (s, step) => {
    if (step < 0.02 && Math.abs(s) < 1) return s ? `${(s * 1000).toFixed(Math.max(0, Math.ceil(-Math.log10(step * 1000) - 1e-9)))} ms` : "0";
    const digits = step >= 1 ? 0 : Math.min(6, Math.ceil(-Math.log10(step || 0.001)));
    if (Math.abs(s) < 120) return `${s.toFixed(digits)} s`;
    const hours = Math.floor(s / 3600), minutes = Math.floor((s % 3600) / 60);
    const rest = (s % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest} min`;
  };
  const STEPS = [];
  for (let e = -6; e < 0; e++) for (const m of [1, 2, 5]) STEPS.push(m * 10 ** e);
  STEPS.push(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 172800);

  const axes = (gib) => [
    {
      stroke: () => css("--soft"), grid: { show: false }, ticks: { stroke: () => css("--line"), size: 5 }, size: 34, incrs: STEPS,
      font: "12px system-ui, sans-serif", space: 80, values: (u, splits, axis, space, step) => splits.map((s) => seconds(s, step)),
    },
    {
      stroke: () => css("--soft"), grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false }, size: 78,
      font: "12px system-ui, sans-serif", values: (u, splits) => splits.map((v) => (v === 0 ? "0" : `${+v.toFixed(3)} ${gib ? "GiB" : "MiB"}`)),
    },
  ];
  const stepped = uPlot.paths.stepped({ align: 1 });
  const height = () => (window.innerWidth <= 640 ? 270 : 380);
  const charts = [];

  // What all charts have in common: zoom by mouse, buttons and keys, a cursor that is spoken, a tooltip.
  class Chart {
    constructor(host, end) {
      this.host = host;
      this.panel = host.closest(".panel");
      this.box = host.querySelector(".chart");
      this.live = host.querySelector(".live");
      this.tip = element("div", { class: "tip", hidden: "" });
      this.end = end;
      this.full = [0, end];
      charts.push(this);
      for (const button of this.panel.querySelectorAll("[data-zoom]"))
        button.addEventListener("click", () => this.zoom(button.dataset.zoom));
      this.box.addEventListener("keydown", (event) => this.key(event));
      this.box.addEventListener("mouseleave", () => { this.tip.hidden = true; });
      // For the parts of the page that show one moment.
      this.box.addEventListener("click", () => {
        if (this.at !== undefined) this.panel.dispatchEvent(new CustomEvent("hiwater-time", { bubbles: true, detail: this.at }));
      });
    }
    options(more) {
      return {
        width: Math.max(240, this.box.clientWidth), height: height(), padding: [14, 22, 0, 0], drawOrder: ["series", "axes"],
        legend: { show: false },
        cursor: {
          y: false, points: { show: false }, drag: { x: true, y: false, dist: 6 },
          bind: { dblclick: () => () => { this.zoom("all"); return null; } },
        },
        ...more,
        hooks: {
          draw: [(u) => this.draw(u)],
          setCursor: [(u) => this.hover(u)],
          setScale: [(u, key) => { if (key === "x") this.scaled(u.scales.x.min, u.scales.x.max); }],
        },
      };
    }
    // Another choice of series: the zoom stays.
    show(options, columns) {
      const range = this.plot ? [this.plot.scales.x.min, this.plot.scales.x.max] : this.full;
      if (this.plot) this.plot.destroy();
      this.columns = columns;
      this.plot = new uPlot(options, columns, this.box);
      this.plot.over.append(this.tip);
      this.tip.hidden = true;
      this.plot.setScale("x", { min: range[0], max: range[1] });
    }
    scaled(min, max) {
      this.box.dataset.from = min;
      this.box.dataset.to = max;
      const all = min <= this.full[0] && max >= this.full[1];
      const text = this.panel.querySelector(".range");
      if (text) text.textContent = all ? "" : `${seconds(min, (max - min) / 100)} – ${seconds(max, (max - min) / 100)}`;
    }
    range(min, max) {
      const least = Math.max(this.end * 1e-6, 2e-6);
      if (max - min < least) [min, max] = [(min + max - least) / 2, (min + max + least) / 2];
      const width = Math.min(max - min, this.full[1]);
      min = Math.min(Math.max(0, min), this.full[1] - width);
      this.plot.setScale("x", { min, max: min + width });
    }
    zoom(how) {
      const { min, max } = this.plot.scales.x;
      const at = this.plot.cursor.idx ?? null;
      const middle = at !== null && this.columns[0][at] >= min && this.columns[0][at] <= max ? this.columns[0][at] : (min + max) / 2;
      if (how === "all") this.range(...this.full);
      if (how === "in") this.range(middle - (middle - min) / 2, middle + (max - middle) / 2);
      if (how === "out") this.range(middle - (middle - min) * 2, middle + (max - middle) * 2);
      if (how === "peak" && this.peak) this.range(this.peak - this.end * 0.02, this.peak + this.end * 0.02);
    }
    key(event) {
      const { min, max } = this.plot.scales.x, times = this.columns[0];
      const zooms = { "+": "in", "=": "in", "-": "out", 0: "all", Escape: "all", p: "peak" };
      if (zooms[event.key]) this.zoom(zooms[event.key]);
      else if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) {
        const far = event.shiftKey ? 0.1 : 0.01;
        const here = this.at ?? (min + max) / 2;
        let to = { ArrowLeft: here - (max - min) * far, ArrowRight: here + (max - min) * far, Home: min, End: max }[event.key];
        if (to < min) this.range(to, max - (min - to));
        if (to > max) this.range(min + (to - max), to);
        to = Math.min(Math.max(0, to), this.full[1]);
        this.at = to;
        this.plot.setCursor({ left: this.plot.valToPos(to, "x"), top: this.plot.over.clientHeight / 2 });
        this.live.textContent = this.spoken(this.held(to));
      } else return;
      event.preventDefault();
    }
    // The instant whose values hold at a time.
    held(time, times = this.columns[0]) {
      let low = 0, high = times.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (times[middle] <= time) low = middle; else high = middle - 1;
      }
      return low;
    }
    hover(u) {
      const { left, top } = u.cursor;
      if (left === undefined || left < 0) { this.tip.hidden = true; return; }
      const time = u.posToVal(left, "x");
      this.at = time;
      this.tip.replaceChildren(...this.told(this.held(time), u.posToVal(top, "y")));
      this.tip.hidden = false;
      const wide = u.over.clientWidth, own = this.tip.offsetWidth;
      this.tip.style.left = `${left + 16 + own < wide ? left + 16 : Math.max(0, left - own - 16)}px`;
      this.tip.style.top = `${Math.max(0, Math.min(top - 20, u.over.clientHeight - this.tip.offsetHeight))}px`;
    }
    line(tone, name, kib, kind = "") {
      const row = element("div", { class: kind });
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = tone;
      row.append(swatch, element("span", {}, name), element("span", {}, size(kib)));
      return row;
    }
    resize() { this.plot.setSize({ width: Math.max(240, this.box.clientWidth), height: height() }); }
    draw() {}
  }

  class Timeline extends Chart {
    constructor(host, recording) {
      super(host, recording.end / 1e6);
      this.times = unpack(recording.times).map((us) => us / 1e6);
      const columns = (list) => list.map((one) => ({ ...one, values: unpack(one.data) }));
      this.sets = { process: columns(recording.processes), kind: columns(recording.kinds) };
      this.mark = recording.peak;
      this.once = recording.once && { times: unpack(recording.once.times).map((us) => us / 1e6), values: unpack(recording.once.sizes) };
      this.peak = recording.peak.t === null ? null : recording.peak.t / 1e6;
      let most = (recording.peak.bytes || 0) / 1024;
      for (let at = 0; at < this.times.length; at++) {
        let sum = 0;
        for (const one of this.sets.kind) sum += one.values[at];
        if (sum > most) most = sum;
      }
      this.unit = most >= 10 * 1048576 ? 1048576 : 1024;
      this.hidden = new Set();
      this.legend = this.panel.querySelector(".legend");
      for (const button of this.panel.querySelectorAll("[data-by]"))
        button.addEventListener("click", () => this.by(button.dataset.by));
      this.by("process");
    }
    tone(one, index) {
      if (this.mode === "kind") return color(KINDS[one.kind][Number(dark())]);
      return color(one.number === null ? -1 : index);
    }
    by(mode) {
      this.mode = mode;
      this.hidden.clear();
      for (const button of this.panel.querySelectorAll("[data-by]"))
        button.setAttribute("aria-pressed", String(button.dataset.by === mode));
      this.redraw();
      this.legend.replaceChildren(...this.sets[mode].map((one, index) => this.entry(one, index)));
    }
    entry(one, index) {
      const item = element("li"), button = element("button", { type: "button", "aria-pressed": "true" });
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = this.tone(one, index);
      let most = 0;
      for (const value of one.values) if (value > most) most = value;
      button.append(swatch, element("span", {}, one.name), element("i", {}, ` ${one.pid ? `pid ${one.pid} · ` : ""}${size(most)}`));
      button.title = "show or hide";
      button.addEventListener("click", () => {
        if (!this.hidden.delete(index)) this.hidden.add(index);
        button.setAttribute("aria-pressed", String(!this.hidden.has(index)));
        this.redraw();
      });
      item.append(button);
      return item;
    }
    redraw() {
      this.shown = this.sets[this.mode].map((one, index) => ({ one, index })).filter(({ index }) => !this.hidden.has(index));
      // Summed up from below; drawn from the top, so that each covers what is not its own.
      const sums = [];
      let below = new Array(this.times.length).fill(0);
      for (const { one } of this.shown) {
        below = below.map((sum, at) => sum + one.values[at] / this.unit);
        sums.unshift(below);
      }
      const tones = this.shown.map(({ one, index }) => this.tone(one, index)).reverse();
      const series = tones.map((tone) => ({ paths: stepped, fill: tone, stroke: tone, width: 1, points: { show: false } }));
      if (!sums.length) { sums.push(below); series.push({ points: { show: false } }); }
      this.show(this.options({
        scales: { x: { time: false }, y: { range: (u, low, high) => [0, this.top(high)] } },
        series: [{}, ...series], axes: axes(this.unit === 1048576),
      }), [this.times, ...sums]);
    }
    top(high) {
      // Before the first drawing the plot is there, but does not know its range yet.
      const { min, max } = this.plot?.scales.x.max > 0 ? this.plot.scales.x : { min: this.full[0], max: this.full[1] };
      let most = high || 0;
      if (this.peak !== null && this.peak >= min && this.peak <= max && this.mark.bytes !== null) {
        most = Math.max(most, this.mark.bytes / 1024 / this.unit);
        const bound = (this.mark.high ?? 0) / 1024 / this.unit;
        if (bound < most * 1.3) most = Math.max(most, bound);
      }
      return (most || 1) * 1.12;
    }
    // The peak, as a point with its bounds; and the tree with shared pages counted once.
    draw(u) {
      const c = u.ctx, ratio = devicePixelRatio || 1, y = (kib) => u.valToPos(kib / this.unit, "y", true);
      const { left, top, width, height: tall } = u.bbox;
      c.save();
      c.beginPath(); c.rect(left, top - 14 * ratio, width, tall + 14 * ratio); c.clip();
      if (this.once && !this.hidden.size) this.path(u, y);
      if (this.peak !== null && this.mark.bytes !== null) {
        const x = u.valToPos(this.peak, "x", true), h = y(this.mark.bytes / 1024), r = 5 * ratio, cap = 7 * ratio;
        const low = this.mark.low === null ? h : y(this.mark.low / 1024);
        const high = this.mark.high === null ? top : Math.max(top, y(this.mark.high / 1024));
        const lines = (stroke, thick) => {
          c.strokeStyle = stroke; c.lineWidth = thick;
          c.setLineDash([5 * ratio, 4 * ratio]); c.beginPath(); c.moveTo(left, h); c.lineTo(left + width, h); c.stroke();
          c.setLineDash([]); c.beginPath();
          c.moveTo(x, low); c.lineTo(x, high);
          c.moveTo(x - cap, low); c.lineTo(x + cap, low);
          if (high > top) { c.moveTo(x - cap, high); c.lineTo(x + cap, high); }
          else { c.moveTo(x - cap * 0.7, high + cap); c.lineTo(x, high); c.lineTo(x + cap * 0.7, high + cap); }
          c.stroke();
        };
        lines(css("--card"), 3.5 * ratio);
        lines(css("--mark"), 1.5 * ratio);
        c.beginPath(); c.arc(x, h, r, 0, 7); c.fillStyle = css("--mark"); c.fill();
        c.strokeStyle = css("--card"); c.lineWidth = 2 * ratio; c.stroke();
        const words = `tree peak ${size(this.mark.bytes / 1024)}`;
        c.textAlign = "left"; c.font = `600 ${12.5 * ratio}px system-ui, sans-serif`; c.textBaseline = "middle";
        const w = c.measureText(words).width + 12 * ratio, box = 20 * ratio;
        const right = x + 12 * ratio + w < left + width;
        const bx = right ? x + 12 * ratio : Math.max(left, x - 12 * ratio - w), by = Math.max(top - 10 * ratio, h - box - 7 * ratio);
        if (x >= left && x <= left + width) {
          c.fillStyle = css("--card"); c.globalAlpha = 0.92;
          c.beginPath(); if (c.roundRect) c.roundRect(bx, by, w, box, 5 * ratio); else c.rect(bx, by, w, box); c.fill();
          c.globalAlpha = 1; c.fillStyle = css("--mark"); c.fillText(words, bx + 6 * ratio, by + box / 2 + ratio * 0.5);
        }
      }
      c.restore();
    }
    // The tree with every shared page counted once: each value holds until the next.
    path(u, y) {
      const c = u.ctx, ratio = devicePixelRatio || 1, { times, values } = this.once, { min, max } = u.scales.x;
      c.beginPath();
      for (let at = this.held(min, times); at < times.length && times[at] <= max; at++) {
        const x = u.valToPos(Math.max(times[at], min), "x", true), end = u.valToPos(Math.min(times[at + 1] ?? max, max), "x", true);
        c.lineTo(x, y(values[at])); c.lineTo(end, y(values[at]));
      }
      for (const [tone, thick] of [[css("--card"), 3.5], [css("--ink"), 1.5]]) {
        c.strokeStyle = tone; c.lineWidth = thick * ratio; c.lineJoin = "round"; c.stroke();
      }
    }
    sum(at) { return this.shown.reduce((sum, { one }) => sum + one.values[at], 0); }
    told(at, level) {
      const rows = [];
      const head = element("div", { class: "head" });
      const { min, max } = this.plot.scales.x;
      head.append(element("span", {}, seconds(this.at, (max - min) / 500)), element("span", {}, `sum ${size(this.sum(at))}`));
      if (this.once && !this.hidden.size)
        rows.push(this.line(css("--ink"), "shared pages counted once", this.once.values[this.held(this.at, this.once.times)], "total"));
      let below = 0;
      for (const { one, index } of this.shown) {
        const value = one.values[at], top = below + value / this.unit;
        if (value > 0) {
          const name = one.pid ? `${one.name} (${one.pid})` : one.name;
          rows.unshift(this.line(this.tone(one, index), name, value, level >= below && level < top ? "here" : ""));
        }
        below = top;
      }
      return [head, ...rows];
    }
    spoken(at) {
      const parts = this.shown.filter(({ one }) => one.values[at] > 0).sort((a, b) => b.one.values[at] - a.one.values[at]).slice(0, 4);
      return `${seconds(this.at, 0.001)}: sum ${size(this.sum(at))}; ${parts.map(({ one }) => `${one.name} ${size(one.values[at])}`).join(", ")}`;
    }
  }

  // The sums of several recordings, one line each.
  class Overlay extends Chart {
    constructor(host, recordings) {
      super(host, Math.max(...recordings.map((one) => one.end)) / 1e6);
      const tables = recordings.map((one) => {
        const kinds = one.kinds.filter((kind) => kind.kind !== "swap").map((kind) => unpack(kind.data));
        const times = unpack(one.times).map((us) => us / 1e6);
        return [times, times.map((_, at) => kinds.reduce((sum, values) => sum + values[at], 0))];
      });
      this.names = recordings.map((one) => one.label);
      const joined = tables.length > 1 ? uPlot.join(tables) : tables[0];
      // Each value holds until the next one, and nothing is there before the first and behind the end.
      this.values = joined.slice(1).map((column, index) => {
        const last = tables[index][0].at(-1);
        let held = null;
        return column.map((value, at) => (held = value ?? held, joined[0][at] <= last ? held : null));
      });
      let most = 0;
      for (const column of this.values) for (const value of column) if (value > most) most = value;
      this.unit = most >= 10 * 1048576 ? 1048576 : 1024;
      this.times = joined[0];
      this.legend = this.panel.querySelector(".legend");
      this.redraw();
    }
    redraw() {
      this.legend.replaceChildren(...this.names.map((name, index) => {
        const item = element("li"), swatch = element("span", { class: "swatch" });
        swatch.style.background = color(index);
        item.append(swatch, document.createTextNode(` ${name}`));
        return item;
      }));
      this.show(this.options({
        scales: { x: { time: false }, y: { range: (u, low, high) => [0, (high || 1) * 1.08] } },
        series: [{}, ...this.values.map((_, index) => ({ paths: stepped, stroke: color(index), width: 1.8, points: { show: false } }))],
        axes: axes(this.unit === 1048576),
      }), [this.times, ...this.values.map((column) => column.map((kib) => (kib === null ? null : kib / this.unit)))]);
    }
    told(at) {
      const head = element("div", { class: "head" }, seconds(this.at, 0.001));
      return [head, ...this.names.flatMap((name, index) => {
        const value = this.values[index][at];
        return value === null ? [] : [this.line(color(index), name, value)];
      })];
    }
    spoken(at) {
      const parts = this.names.map((name, index) => `${name} ${this.values[index][at] === null ? "ended" : size(this.values[index][at])}`);
      return `${seconds(this.at, 0.001)}: ${parts.join(", ")}`;
    }
  }

  // The table of processes: sorted by its headers, filtered by a field.
  for (const panel of document.querySelectorAll(".processes")) {
    const body = panel.querySelector("tbody"), rows = [...body.rows], status = panel.querySelector("[role=status]");
    const said = status.textContent;
    panel.querySelector("input").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of rows) {
        const text = row.dataset.text;
        const keep = words.every((word) => text.includes(word));
        row.classList.toggle("gone", !keep);
        left += keep;
      }
      status.textContent = words.length ? `${left} of ${rows.length} shown` : said;
    });
    const headers = [...panel.querySelectorAll("thead th")];
    for (const header of headers) {
      const button = header.querySelector("button");
      if (!button) continue;
      button.addEventListener("click", () => {
        const key = button.dataset.key, text = key === "name";
        const first = text || key === "order" || key === "start" || key === "pid" ? "ascending" : "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        const way = header.getAttribute("aria-sort") === first ? other : first;
        for (const one of headers) one.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", way);
        const value = (row) => (text ? row.dataset.name : row.dataset[key] === "" ? -1 : Number(row.dataset[key]));
        const sign = way === "ascending" ? 1 : -1;
        const compare = (a, b) => (text ? value(a).localeCompare(value(b)) : value(a) - value(b));
        body.append(...rows.slice().sort((a, b) => sign * compare(a, b) || a.dataset.order - b.dataset.order));
        for (const row of rows) row.querySelector("th span").style.paddingLeft = key === "order" && sign > 0 ? "" : "0";
      });
    }
  }

  const theme = document.getElementById("theme");
  const setTheme = (name) => {
    root.dataset.theme = name;
    theme.textContent = name === "dark" ? "Light" : "Dark";
    theme.setAttribute("aria-label", name === "dark" ? "Switch to light colours" : "Switch to dark colours");
    for (const chart of charts) {
      chart.redraw();
      if (chart.by) {
        const hidden = new Set(chart.hidden);
        chart.legend.querySelectorAll(".swatch").forEach((swatch, index) => {
          swatch.style.background = chart.tone(chart.sets[chart.mode][index], index);
        });
        chart.hidden = hidden;
      }
    }
  };
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = false;
  theme.addEventListener("click", () => { chosen = true; setTheme(dark() ? "light" : "dark"); });
  preferred.addEventListener("change", () => { if (!chosen) setTheme(preferred.matches ? "dark" : "light"); });
  setTheme(preferred.matches ? "dark" : "light");
  // Paper is white: what is drawn in a canvas does not follow the style sheet.
  let before = null;
  window.addEventListener("beforeprint", () => { if (before === null && dark()) { before = "dark"; setTheme("light"); } });
  window.addEventListener("afterprint", () => { if (before !== null) setTheme(before); before = null; });

  const overlay = document.querySelector("[data-overlay]");
  if (overlay) new Overlay(overlay, data);
  document.querySelectorAll("[data-recording]").forEach((host) => new Timeline(host, data[Number(host.dataset.recording)]));
  let waiting = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => charts.forEach((chart) => chart.resize()));
  });
  window.hiwater = { element, unpack, seconds };
  root.dataset.ready = "yes";
})();

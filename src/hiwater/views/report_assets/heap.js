// Who held the heap at a chosen moment: flame graph, table, call graph. The stacks are here once for all moments.
(() => {
  const { element, unpack, seconds } = window.hiwater;
  const COLORS = ["#79a8d8", "#efdd39", "#b2804d", "#4cf09e", "#a571f4", "#d98026", "#f04c8e"], GREY = "#c9d0d8";
  const INLINED = 1, PYTHON = 2, LEAST_SAMPLES = 10, NARROWEST = 1.5, ROW = 20, MOST_ROWS = 400;
  const base = (path) => path.replace(/\/+$/, "").split("/").pop();
  const mib = (kib) => (Math.abs(kib) >= 10240 || kib === 0 ? (kib / 1024).toFixed(1) : (kib / 1024).toFixed(2));
  const share = (part, whole) => (whole ? `${(100 * part / whole).toFixed(1)}%` : "");
  const error = (kib, variance) => (variance > 0 ? (Math.sqrt(variance) / 1024).toFixed(kib >= 10240 ? 1 : 2) : "");
  const amount = (kib, variance) => (variance > 0 ? `${mib(kib)} ± ${error(kib, variance)} MiB` : `${mib(kib)} MiB`);

  class Heap {
    constructor(panel, data) {
      this.panel = panel;
      this.data = data;
      this.strings = data.strings;
      const [name, file, line, library, flags] = data.frames.map(unpack);
      this.frames = { name, file, line, library, flags };
      [this.parents, this.calls] = data.nodes.map(unpack);
      this.leaves = unpack(data.leaves);
      this.sites = unpack(data.sites);
      this.keys = {};
      this.by = "function";
      this.mode = "flame";
      this.inverted = false;
      this.zoomed = [];
      this.words = "";
      this.find = (css) => panel.querySelector(css);
      this.view = this.find(".heap-view");
      this.detail = this.find(".heap-detail");
      this.choice = this.find("select");
      this.find(".heap-static").remove();
      this.find(".heap-live").hidden = false;
      this.choose(data.chosen, false);
      this.tones = this.colors();
      this.legend();
      this.course();
      this.listen();
      this.draw();
    }

    listen() {
      this.choice.addEventListener("change", () => this.choose(Number(this.choice.value)));
      for (const button of this.panel.querySelectorAll("[data-step]"))
        button.addEventListener("click", () => this.choose(this.at + Number(button.dataset.step)));
      const press = (kind) => {
        for (const button of this.panel.querySelectorAll(`[data-${kind}]`))
          button.addEventListener("click", () => {
            this[kind] = button.dataset[kind];
            for (const one of this.panel.querySelectorAll(`[data-${kind}]`)) one.setAttribute("aria-pressed", String(one === button));
            this.zoomed = [];
            this.draw();
          });
      };
      press("mode");
      press("by");
      const invert = this.find(".invert");
      invert.addEventListener("click", () => {
        this.inverted = !this.inverted;
        invert.setAttribute("aria-pressed", String(this.inverted));
        this.zoomed = [];
        this.draw();
      });
      this.find(".whole").addEventListener("click", () => { this.zoomed = []; this.draw(); });
      this.find(".search input").addEventListener("input", (event) => {
        this.words = event.target.value.toLowerCase().trim();
        this.draw();
      });
      this.view.addEventListener("keydown", (event) => { if (this.mode === "flame") this.key(event); });
      const recording = this.panel.closest(".recording") ?? document;
      recording.addEventListener("hiwater-time", (event) => this.nearest(event.detail * 1e6));
      let waiting = 0;
      window.addEventListener("resize", () => {
        cancelAnimationFrame(waiting);
        waiting = requestAnimationFrame(() => { if (this.mode === "flame") this.draw(); });
      });
    }

    // A moment's stacks with their sizes; unpacked when it is first looked at.
    choose(at, draw = true) {
      if (at < 0 || at >= this.data.moments.length) return;
      this.at = at;
      const moment = this.moment = this.data.moments[at];
      if (!moment.held) {
        const sizes = unpack(moment.kib), off = unpack(moment.off);
        moment.held = unpack(moment.stacks).map((stack, index) => ({
          stack, kib: sizes[index], variance: (sizes[index] * (off[index] / 127) ** 2) ** 2,
        }));
        const [stacks, mapped] = moment.mapped.map(unpack);
        moment.maps = stacks.map((stack, index) => ({ stack, kib: mapped[index], variance: 0 }));
      }
      this.choice.value = String(at);
      this.find(".sizes").textContent = moment.sizes + (moment.left > 0 ? `; the smallest stacks, ${mib(moment.left / 1024)} MiB, are left out here` : "");
      for (const button of this.panel.querySelectorAll("[data-step]"))
        button.disabled = at + Number(button.dataset.step) < 0 || at + Number(button.dataset.step) >= this.data.moments.length;
      if (draw) { this.mark(); this.draw(); }
    }
    nearest(time) {
      let best = null;
      this.data.moments.forEach((one, at) => {
        if (one.t === null) return;
        if (best === null || Math.abs(one.t - time) < Math.abs(this.data.moments[best].t - time)) best = at;
      });
      if (best !== null) this.choose(best);
    }

    // What is shown as one thing: by function, by line, by library.
    keyed(by) {
      if (this.keys[by]) return this.keys[by];
      const { name, file, line, library, flags } = this.frames, places = new Map(), list = [];
      const of = name.map((_, at) => {
        const python = (flags[at] & PYTHON) > 0;
        const parts = by === "library" ? [library[at], python ? file[at] : -1, python] : [name[at], file[at], library[at], python, by === "line" ? line[at] : 0];
        const id = parts.join(" ");
        if (!places.has(id)) {
          places.set(id, list.length);
          const path = this.strings[file[at]], owner = python ? "Python" : this.strings[library[at]];
          const where = base(path) + (by === "line" && line[at] ? `:${line[at]}` : "");
          const own = python ? "Python" : base(owner);
          list.push({
            owner, own, path, where: by === "library" ? "" : where, inlined: (flags[at] & INLINED) > 0,
            label: by === "library" ? (python ? base(path) || "Python" : own) || "(unknown)" : this.strings[name[at]],
          });
          const key = list[list.length - 1];
          key.text = `${key.label} ${path}${by === "line" ? `:${line[at]}` : ""} ${owner}`.toLowerCase();
          key.full = by === "line" && key.where ? `${key.label} ${key.where}` : key.label;
        }
        return places.get(id);
      });
      return (this.keys[by] = { of, list });
    }
    // The calls of a stack: from the outermost inwards, or from its call site outwards.
    path(stack, inverted) {
      const found = [];
      for (let node = inverted ? this.sites[stack] : this.leaves[stack]; node > 0; node = this.parents[node - 1]) found.push(this.calls[node - 1]);
      return inverted ? found : found.reverse();
    }
    tree() {
      const { of } = this.keyed(this.by), root = { key: -1, kib: 0, own: 0, variance: 0, children: new Map(), parent: null };
      for (const { stack, kib, variance } of this.moment.held) {
        let node = root;
        node.kib += kib; node.variance += variance;
        for (const call of this.path(stack, this.inverted)) {
          const key = of[call];
          if (this.by === "library" && key === node.key) continue;
          let child = node.children.get(key);
          if (!child) node.children.set(key, (child = { key, kib: 0, own: 0, variance: 0, children: new Map(), parent: node }));
          child.kib += kib; child.variance += variance;
          node = child;
        }
        node.own += kib;
      }
      return root;
    }
    // A colour for each of the libraries that take the most room at the moment that is shown first: it stays theirs.
    colors() {
      const { of, list } = this.keyed("function"), room = new Map();
      for (const { stack, kib } of this.moment.held)
        for (const call of this.path(stack, false)) {
          const owner = list[of[call]].owner;
          if (owner) room.set(owner, (room.get(owner) ?? 0) + kib);
        }
      return new Map([...room].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, COLORS.length).map(([owner], at) => [owner, COLORS[at]]));
    }
    legend() {
      const entries = [...this.tones].map(([owner, tone]) => [base(owner), tone]);
      if (entries.length) entries.push(["others", GREY]);
      this.find(".heap-legend").replaceChildren(...entries.map(([name, tone]) => {
        const item = element("li"), swatch = element("span", { class: "swatch" });
        swatch.style.background = tone;
        item.append(swatch, document.createTextNode(` ${name}`));
        return item;
      }));
    }
    matching() {
      if (!this.words) return null;
      const hits = new Set();
      this.keyed(this.by).list.forEach((key, at) => { if (key.text.includes(this.words)) hits.add(at); });
      return hits;
    }

    draw() {
      const flame = this.mode === "flame";
      this.hits = this.matching();
      this.detail.textContent = "";
      this.find(".invert").hidden = !flame;
      this.find(".whole").hidden = !flame || !this.zoomed.length;
      this.find(".keys").hidden = !flame;
      this.find(".heap-legend").hidden = this.mode === "table";
      this.panel.dataset.mode = this.mode;
      if (flame) this.flame();
      else if (this.mode === "table") this.table();
      else this.graph();
      this.count();
    }
    count() {
      const told = this.find(".matches");
      if (!this.hits) { told.textContent = ""; return; }
      const { of } = this.keyed(this.by);
      let kib = 0, whole = 0;
      for (const held of this.moment.held) {
        whole += held.kib;
        if (this.path(held.stack, false).some((call) => this.hits.has(of[call]))) kib += held.kib;
      }
      told.textContent = this.hits.size ? `${mib(kib)} MiB, ${share(kib, whole)}, go through what matches` : "nothing matches";
    }

    // ---- The flame graph: boxes, the root above.
    flame() {
      const root = this.root = this.tree(), { list } = this.keyed(this.by);
      let top = root;
      const kept = [];
      for (const key of this.zoomed) {
        const next = top.children.get(key);
        if (!next) break;
        kept.push(key);
        top = next;
      }
      this.zoomed = kept;
      this.find(".whole").hidden = !kept.length;
      const host = element("div", { class: "flame", role: "tree", "aria-label": `Flame graph ${this.moment.label}` });
      // Until it is in the page, the width is that of its place.
      const wide = this.view.clientWidth, made = [];
      let deepest = 0;
      const put = (node, depth, left, width, above) => {
        const key = node.key < 0 ? null : list[node.key], label = key ? key.full : "all";
        const box = element("div", { class: "box", role: "treeitem", "aria-level": depth + 1, tabindex: "-1" });
        box.setAttribute("aria-label", `${label}, ${amount(node.kib, node.variance)}, ${share(node.kib, root.kib)}`);
        box.style.cssText = `left:${100 * left}%;width:${100 * width}%;top:${depth * ROW}px`;
        box.style.background = (key && this.tones.get(key.owner)) ?? GREY;
        if (above) box.classList.add("above");
        if (this.hits) box.classList.add(key && this.hits.has(node.key) ? "hit" : "miss");
        if (width * wide >= 32) box.textContent = this.fitted(label, Math.floor((width * wide - 5) / 7.25));
        box.title = `${label}\n${amount(node.kib, node.variance)}, ${share(node.kib, root.kib)}`;
        box.node = node;
        made.push(box);
        deepest = Math.max(deepest, depth);
      };
      const lineage = [];
      for (let node = top.parent; node; node = node.parent) lineage.unshift(node);
      lineage.forEach((node, depth) => put(node, depth, 0, 1, true));
      const waiting = [[top, lineage.length, 0, 1]];
      while (waiting.length) {
        const [node, depth, left, width] = waiting.pop();
        put(node, depth, left, width, false);
        let from = left;
        for (const child of [...node.children.values()].sort((a, b) => b.kib - a.kib || a.key - b.key)) {
          const size = top.kib ? child.kib / top.kib : 0;
          if (size * wide < NARROWEST) break;
          waiting.push([child, depth + 1, from, size]);
          from += size;
        }
      }
      host.style.height = `${(deepest + 1) * ROW}px`;
      host.append(...made);
      host.addEventListener("click", (event) => { const box = event.target.closest(".box"); if (box) this.zoom(box.node); });
      const tell = (event) => { const box = event.target.closest(".box"); if (box) this.tell(box.node); };
      host.addEventListener("mouseover", tell);
      host.addEventListener("focusin", tell);
      this.boxes = new Map(made.map((box) => [box.node, box]));
      (this.boxes.get(top) ?? made[0])?.setAttribute("tabindex", "0");
      this.view.replaceChildren(host);
      this.shown = top;
    }
    // As much of a name as there is room for: its last parts tell the most.
    fitted(name, letters) {
      let parts = name.split(/(::(?![^<]*>))/);
      while (name.length > letters && parts.length > 2) { parts = parts.slice(2); name = parts.join(""); }
      return name.length <= letters ? name : letters >= 4 ? `${name.slice(0, letters - 1)}…` : "";
    }
    zoom(node) {
      const path = [];
      for (let at = node; at.parent; at = at.parent) path.unshift(at.key);
      this.zoomed = path;
      this.draw();
      this.boxes.get(this.shown)?.focus();
    }
    key(event) {
      const box = event.target.closest(".box");
      if (!box) return;
      const node = box.node, beside = (step) => {
        if (!node.parent) return null;
        const all = [...node.parent.children.values()].sort((a, b) => b.kib - a.kib || a.key - b.key).filter((one) => this.boxes.has(one));
        return all[all.indexOf(node) + step];
      };
      const first = (from) => [...from.children.values()].sort((a, b) => b.kib - a.kib || a.key - b.key).find((one) => this.boxes.has(one));
      const moves = { ArrowUp: () => node.parent, ArrowDown: () => first(node), ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), Home: () => this.root };
      if (moves[event.key]) {
        const to = this.boxes.get(moves[event.key]());
        if (to) { box.setAttribute("tabindex", "-1"); to.setAttribute("tabindex", "0"); to.focus(); }
      } else if (event.key === "Enter" || event.key === " ") this.zoom(node);
      else if (event.key === "Escape" && this.shown.parent) this.zoom(this.shown.parent);
      else return;
      event.preventDefault();
    }
    tell(node) {
      const key = node.key < 0 ? null : this.keyed(this.by).list[node.key];
      const parts = [`${key ? key.label : "all"}: ${amount(node.kib, node.variance)}, ${share(node.kib, this.root.kib)}`];
      if (node.own && node.children.size) parts.push(`${mib(node.own)} MiB of it ${this.inverted ? "ends here" : "by itself"}`);
      if (key && this.by !== "library") parts.push([key.where, key.own, key.inlined ? "inlined" : ""].filter(Boolean).join(", "));
      this.detail.textContent = parts.filter(Boolean).join(" · ");
    }

    // ---- The table: one row for each call site.
    rows() {
      const { of } = this.keyed(this.by), found = new Map();
      const row = (key) => {
        if (!found.has(key)) found.set(key, { key, kib: 0, variance: 0, all: 0, mapped: 0 });
        return found.get(key);
      };
      for (const { stack, kib, variance } of this.moment.held) {
        const own = row(of[this.calls[this.sites[stack] - 1]]);
        own.kib += kib; own.variance += variance;
        for (const key of new Set(this.path(stack, true).map((call) => of[call]))) row(key).all += kib;
      }
      for (const { stack, kib } of this.moment.maps) row(of[this.calls[this.sites[stack] - 1]]).mapped += kib;
      return [...found.values()];
    }
    table() {
      const { list } = this.keyed(this.by), whole = this.moment.bytes / 1024;
      const heads = [["kib", "MiB", "num"], ["variance", "±", "num"], ["share", "Share", "num"], ["all", "With calls", "num"], ["label", this.by === "library" ? "Library" : "Call site", ""]];
      if (this.by !== "library") heads.push(["where", "Where", ""], ["own", "Library", ""]);
      this.order ??= ["kib", "descending"];
      const [by, way] = this.order;
      const value = (row) => (by === "share" ? row.kib : ["label", "where", "own"].includes(by) ? list[row.key][by] : row[by]);
      const compare = (a, b) => { const x = value(a), y = value(b); return typeof x === "string" ? x.localeCompare(y) : x - y; };
      let rows = this.rows();
      if (this.hits) rows = rows.filter((row) => this.hits.has(row.key));
      // About as many samples as this are behind an estimate: its square over its variance.
      const told = (row) => row.kib * row.kib >= LEAST_SAMPLES * row.variance && row.kib > 0;
      const small = rows.filter((row) => row.kib > 0 && !told(row)), callers = rows.filter((row) => row.kib === 0 && row.all > 0);
      rows = [...rows.filter(told), ...(by === "all" ? callers : [])];
      rows.sort((a, b) => (way === "ascending" ? 1 : -1) * compare(a, b) || b.kib - a.kib || a.key - b.key);
      const table = element("table"), head = element("tr");
      table.append(element("caption", { class: "sr" }, `Call sites ${this.moment.label}; the headers sort`));
      for (const [key, label, kind] of heads) {
        const cell = element("th", { scope: "col", class: kind }), button = element("button", { type: "button" }, label);
        if (key === by) cell.setAttribute("aria-sort", way);
        button.addEventListener("click", () => {
          const first = kind ? "descending" : "ascending", other = kind ? "ascending" : "descending";
          this.order = [key, by === key && way === first ? other : first];
          this.draw();
          this.view.querySelectorAll("thead button")[heads.findIndex((one) => one[0] === key)].focus();
        });
        cell.append(button);
        head.append(cell);
      }
      const thead = element("thead"), body = element("tbody");
      thead.append(head);
      const number = (text) => element("td", { class: "num" }, text);
      const line = (kib, variance, all, name, more = []) => {
        const made = element("tr");
        made.append(number(mib(kib)), number(error(kib, variance)), number(share(kib, whole)), number(all === null ? "" : mib(all)), name, ...more);
        body.append(made);
      };
      const sum = (some, what) => some.reduce((total, row) => total + row[what], 0);
      for (const row of rows.slice(0, MOST_ROWS)) {
        const key = list[row.key], name = element("th", { scope: "row", title: key.label }), button = element("button", { type: "button", class: "link" }, key.label);
        button.title = `find ${key.label} in the flame graph`;
        button.addEventListener("click", () => this.show(key.label));
        name.append(button);
        line(row.kib, row.variance, row.all, name, this.by === "library" ? [] : [element("td", { title: key.path }, key.where), element("td", {}, key.own)]);
      }
      const rest = rows.slice(MOST_ROWS);
      const wide = { colspan: String(heads.length - 4) };
      if (rest.length) line(sum(rest, "kib"), sum(rest, "variance"), null, element("td", wide, `${rest.length} more`));
      if (small.length) line(sum(small, "kib"), sum(small, "variance"), null, element("td", wide, `${small.length} ${small.length === 1 ? "other" : "others"}, too small to tell`));
      const mapped = this.rows().filter((row) => row.mapped > 0 && (!this.hits || this.hits.has(row.key))).sort((a, b) => b.mapped - a.mapped);
      if (mapped.length) {
        const note = element("tr", { class: "kind" });
        note.append(element("td", { colspan: String(heads.length) }, "Mapped by the program itself, as large as the mapping; no part of the heap"));
        body.append(note);
        for (const row of mapped) {
          const made = element("tr"), key = list[row.key];
          made.append(number(mib(row.mapped)), number(""), number(""), number(""), element("th", { scope: "row" }, key.label));
          if (this.by !== "library") made.append(element("td", { title: key.path }, key.where), element("td", {}, key.own));
          body.append(made);
        }
      }
      table.append(thead, body);
      const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of call sites" });
      scroll.append(table);
      this.view.replaceChildren(scroll);
    }
    show(label) {
      this.find(".search input").value = label;
      this.words = label.toLowerCase();
      this.zoomed = [];
      this.find("[data-mode=flame]").click();
    }

    // ---- The call graph: which calls led there. Stacks begin at their call sites.
    graph() {
      const { of, list } = this.keyed(this.by), most = this.view.clientWidth < 640 ? 16 : 32;
      const gather = (keep) => {
        const nodes = new Map(), edges = new Map();
        let whole = 0;
        for (const { stack, kib } of this.moment.held) {
          whole += kib;
          const seen = new Set();
          let callee = null, past = false;
          this.path(stack, true).forEach((call, at) => {
            const key = of[call];
            if (keep && !keep.has(key)) { past = true; return; }
            if (!nodes.has(key)) nodes.set(key, { key, own: 0, all: 0 });
            const node = nodes.get(key);
            if (at === 0) node.own += kib;
            if (!seen.has(key)) node.all += kib;
            seen.add(key);
            const id = `${key} ${callee}`;
            if (callee !== null && callee !== key && !seen.has(id)) {
              seen.add(id);
              if (!edges.has(id)) edges.set(id, { from: key, to: callee, kib: 0, past: false });
              edges.get(id).kib += kib;
              edges.get(id).past ||= past;
            }
            callee = key;
            past = false;
          });
        }
        return { nodes: [...nodes.values()], edges: [...edges.values()], whole };
      };
      const all = gather(null), least = all.whole * 0.005;
      const kept = all.nodes.filter((node) => node.all >= least && node.all > 0).sort((a, b) => b.all + 4 * b.own - a.all - 4 * a.own || a.key - b.key).slice(0, most);
      const found = gather(new Set(kept.map((node) => node.key)));
      const edges = found.edges.filter((edge) => edge.kib >= least);
      const boxes = found.nodes.filter((node) => node.all >= least).map((node) => {
        const key = list[node.key];
        const told = node.own === node.all ? `${mib(node.own)} MiB (${share(node.own, found.whole)})`
          : `${node.own ? mib(node.own) : 0} of ${mib(node.all)} MiB (${share(node.all, found.whole)})`;
        return {
          ...node, lines: [key.label, this.by === "library" ? "" : key.where || key.own, told].filter(Boolean), share: node.all / (found.whole || 1),
          big: node.own / (found.whole || 1), hit: this.hits?.has(node.key) ?? false, tone: this.tones.get(key.owner) ?? GREY,
        };
      });
      const host = element("div", { class: "scroll graph", tabindex: "0", role: "region", "aria-label": `Call graph ${this.moment.label}` });
      const drawn = window.hiwater.callGraph(boxes, edges, found.whole, (box) => {
        const name = (key) => list[key].label;
        const list_ = (some, end) => some.sort((a, b) => b.kib - a.kib).slice(0, 6).map((edge) => `${name(edge[end])} ${mib(edge.kib)}`).join(", ");
        const callers = list_(edges.filter((edge) => edge.to === box.key), "from"), callees = list_(edges.filter((edge) => edge.from === box.key), "to");
        this.detail.textContent = [box.lines.join(", "), callers && `called by ${callers}`, callees && `calls ${callees}`].filter(Boolean).join(" · ");
      });
      host.append(drawn);
      if (!boxes.length) host.textContent = "Nothing was held.";
      this.view.replaceChildren(host);
      host.scrollLeft = drawn.middle - host.clientWidth / 2;
      if (kept.length < all.nodes.length) this.detail.textContent = `The ${boxes.length} largest of ${all.nodes.length} are drawn; a dashed arrow passes by others.`;
    }

    // ---- The course of the heap, with the moments that can be chosen.
    course() {
      const host = this.find(".heap-course"), found = this.data.course, timed = this.data.moments.some((one) => one.t !== null);
      if (!found || !timed) { host.remove(); this.dots = []; return; }
      const times = unpack(found.times), kib = unpack(found.kib), rss = found.rss ? unpack(found.rss) : [];
      const known = this.data.moments.map((one) => one.t).filter((t) => t !== null);
      const end = Math.max(times.at(-1), ...known, 1), most = Math.max(...kib, ...rss, ...this.data.moments.map((one) => one.bytes / 1024), 1) * 1.08;
      const x = (t) => (1000 * t / end).toFixed(1), y = (size) => (100 - 100 * size / most).toFixed(2);
      const step = (sizes) => sizes.map((size, at) => (size < 0 ? "" : `${at && sizes[at - 1] >= 0 ? `H${x(times[at])}V` : `M${x(times[at])} `}${y(size)}`)).join("");
      const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
      svg.setAttribute("viewBox", "0 0 1000 100");
      svg.setAttribute("preserveAspectRatio", "none");
      const path = (d, kind) => { const made = document.createElementNS(space, "path"); made.setAttribute("d", d); made.setAttribute("class", kind); svg.append(made); };
      path(`${step(kib)}H1000V100H${x(times[0])}Z`, "area");
      if (rss.length) path(`${step(rss)}H1000`, "rss");
      host.append(svg);
      this.dots = this.data.moments.map((one, at) => {
        if (one.t === null) return null;
        const dot = element("i", { class: one.kind, title: `${one.label}: ${mib(one.bytes / 1024)} MiB` });
        dot.style.cssText = `left:${100 * one.t / end}%;top:${y(one.bytes / 1024)}%`;
        host.append(dot);
        dot.addEventListener("click", (event) => { event.stopPropagation(); this.choose(at); });
        return dot;
      });
      host.append(element("span", { class: "most" }, `${mib(most / 1.08)} MiB`), element("span", { class: "end" }, seconds(end / 1e6, 0.01)));
      host.append(element("span", { class: "what" }, rss.length ? `heap ${this.data.held} (filled) and RSS (line) over time; press a point` : `heap ${this.data.held} over time; press a point`));
      host.addEventListener("click", (event) => {
        const place = host.getBoundingClientRect();
        this.nearest(end * (event.clientX - place.left) / place.width);
      });
      this.mark();
    }
    mark() { this.dots?.forEach((dot, at) => dot?.classList.toggle("chosen", at === this.at)); }
  }

  const data = JSON.parse(document.getElementById("heap-data").textContent);
  const start = () => { for (const panel of document.querySelectorAll("[data-heap]")) panel.heap = new Heap(panel, data[Number(panel.dataset.heap)]); };
  window.hiwater.startHeap = start;
})();

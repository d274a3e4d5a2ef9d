// A call graph in layers: callers above what they call, boxes as large as what they hold themselves.
(() => {
  const SPACE = "http://www.w3.org/2000/svg", GAP = 26, RISE = 46, LETTER = 0.58;
  const make = (name, attributes = {}, text) => {
    const made = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Calls that lead back are turned round, for the layers only.
  const downward = (nodes, edges) => {
    const state = new Map(), turned = new Set(), out = new Map(nodes.map((node) => [node.key, []]));
    for (const edge of edges) out.get(edge.from)?.push(edge);
    for (const list of out.values()) list.sort((a, b) => b.kib - a.kib);
    for (const start of nodes) {
      if (state.has(start.key)) continue;
      const waiting = [[start.key, 0]];
      state.set(start.key, 1);
      while (waiting.length) {
        const top = waiting.at(-1), edge = out.get(top[0])[top[1]++];
        if (!edge) { state.set(top[0], 2); waiting.pop(); } else if (state.get(edge.to) === 1) turned.add(edge);
        else if (!state.has(edge.to)) { state.set(edge.to, 1); waiting.push([edge.to, 0]); }
      }
    }
    return edges.map((edge) => (turned.has(edge) ? { edge, from: edge.to, to: edge.from } : { edge, from: edge.from, to: edge.to }));
  };

  const layered = (nodes, edges) => {
    const depth = new Map(nodes.map((node) => [node.key, 0]));
    for (let round = 0, moved = true; moved && round <= nodes.length; round++) {
      moved = false;
      for (const { from, to } of edges) if (depth.get(to) < depth.get(from) + 1) { depth.set(to, depth.get(from) + 1); moved = true; }
    }
    const layers = [];
    const put = (one, at) => { (layers[at] ??= []).push(one); one.layer = at; return one; };
    const place = new Map(nodes.map((node) => [node.key, put(node, depth.get(node.key))]));
    // An edge past layers gets a place in each of them.
    const chains = edges.map(({ edge, from, to }) => {
      const points = [place.get(from)];
      for (let at = depth.get(from) + 1; at < depth.get(to); at++) points.push(put({ bend: true, width: 6, height: 0 }, at));
      points.push(place.get(to));
      for (let at = 1; at < points.length; at++) {
        (points[at - 1].down ??= []).push([points[at], edge.kib]);
        (points[at].up ??= []).push([points[at - 1], edge.kib]);
      }
      return { edge, points };
    });
    for (let at = 0; at < layers.length; at++) layers[at] ??= [];
    return { layers, chains };
  };

  const mean = (pairs, otherwise) => {
    if (!pairs?.length) return otherwise;
    let sum = 0, weight = 0;
    for (const [one, kib] of pairs) { sum += one.x * (kib + 1); weight += kib + 1; }
    return sum / weight;
  };
  const ordered = (layers) => {
    for (const layer of layers) layer.forEach((one, at) => { one.x = at; });
    for (let round = 0; round < 12; round++) {
      const down = round % 2 === 0;
      for (const layer of down ? layers : layers.slice().reverse()) {
        for (const one of layer) one.wish = mean(down ? one.up : one.down, one.x);
        layer.sort((a, b) => a.wish - b.wish).forEach((one, at) => { one.x = at; });
      }
    }
  };
  // Towards the middle of what they are joined to, without touching each other.
  const spread = (layers) => {
    for (const layer of layers) {
      let x = 0;
      for (const one of layer) { one.x = x + one.width / 2; x += one.width + GAP; }
      for (const one of layer) one.x -= x / 2;
    }
    for (let round = 0; round < 16; round++) {
      for (const layer of round % 2 ? layers.slice().reverse() : layers) {
        // A little towards the middle: parts that are not joined would drift away from each other.
        for (const one of layer) one.wish = (round < 10 ? 0.95 : 1) * mean(round % 2 ? one.down : one.up, one.x);
        const apart = (a, b) => (a.width + b.width) / 2 + GAP * (a.bend && b.bend ? 0.4 : 1);
        const left = [], right = [];
        layer.forEach((one, at) => { left[at] = at ? Math.max(one.wish, left[at - 1] + apart(layer[at - 1], one)) : one.wish; });
        for (let at = layer.length - 1; at >= 0; at--) right[at] = at < layer.length - 1 ? Math.min(layer[at].wish, right[at + 1] - apart(layer[at], layer[at + 1])) : layer[at].wish;
        layer.forEach((one, at) => { one.x = (left[at] + right[at]) / 2; });
      }
    }
  };

  window.hiwater.callGraph = (boxes, edges, whole, chosen) => {
    const nodes = boxes.slice().sort((a, b) => b.all - a.all || a.own - b.own);
    const kept = new Set(nodes.map((node) => node.key));
    for (const node of nodes) {
      node.font = 11 + 8 * Math.sqrt(node.big);
      node.lines = node.lines.map((line) => (line.length > 44 ? `${line.slice(0, 30)}…${line.slice(-13)}` : line));
      node.width = Math.max(...node.lines.map((line) => line.length)) * node.font * LETTER + 18;
      node.height = node.lines.length * node.font * 1.28 + 12;
    }
    const { layers, chains } = layered(nodes, downward(nodes, edges.filter((edge) => kept.has(edge.from) && kept.has(edge.to) && edge.from !== edge.to)));
    ordered(layers);
    spread(layers);
    let y = 8;
    for (const layer of layers) {
      const tall = Math.max(24, ...layer.map((one) => one.height));
      for (const one of layer) one.y = y + tall / 2;
      y += tall + RISE;
    }
    const all = layers.flat(), edge = (side) => all.map((one) => one.x + side * one.width / 2);
    const left = (all.length ? Math.min(...edge(-1)) : 0) - 40, right = (all.length ? Math.max(...edge(1)) : 0) + 60;
    const svg = make("svg", { width: Math.ceil(right - left), height: Math.ceil(y - RISE + 12), viewBox: `${left} 0 ${right - left} ${y - RISE + 12}`, role: "group" });
    svg.middle = nodes.length ? nodes[0].x - left : 0;
    for (const { edge, points } of chains) {
      const part = edge.kib / (whole || 1), thick = Math.min(7, 0.8 + 7 * part);
      const back = points[0].key !== edge.from, way = back ? points.slice().reverse() : points;
      let d = "", labelled = null;
      for (let at = 1; at < way.length; at++) {
        const a = way[at - 1], b = way[at], down = b.y >= a.y ? 1 : -1;
        const from = [a.x, a.y + down * a.height / 2], last = at === way.length - 1;
        const to = [b.x, b.y - down * (b.height / 2 + (last ? 5 + thick : 0))], bow = (to[1] - from[1]) / 2;
        d += `${at === 1 ? `M${from[0].toFixed(1)} ${from[1].toFixed(1)}` : ""}C${from[0].toFixed(1)} ${(from[1] + bow).toFixed(1)} ${to[0].toFixed(1)} ${(to[1] - bow).toFixed(1)} ${to[0].toFixed(1)} ${to[1].toFixed(1)}`;
        labelled ??= [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
        if (last) {
          const size = 4 + thick;
          svg.append(make("path", { class: "head", d: `M${to[0].toFixed(1)} ${(to[1] + down * (4 + thick)).toFixed(1)}l${-size * 0.75} ${-down * size * 1.1}h${size * 1.5}Z` }));
        }
      }
      svg.append(make("path", { class: `edge${edge.past ? " past" : ""}`, d, "stroke-width": thick.toFixed(1) }));
      const kib = edge.kib, text = kib >= 10240 ? (kib / 1024).toFixed(1) : (kib / 1024).toFixed(2);
      svg.append(make("text", { class: "edge-size", x: (labelled[0] + 5 + thick / 2).toFixed(1), y: (labelled[1] + 3).toFixed(1) }, text));
    }
    for (const node of nodes) {
      const group = make("g", { class: `node${node.hit ? " hit" : ""}`, tabindex: "0", role: "button", "aria-label": node.lines.join(", ") });
      group.append(make("title", {}, node.lines.join("\n")));
      group.append(make("rect", { x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.width, height: node.height, rx: 5, fill: node.tone }));
      node.lines.forEach((line, at) => {
        const text = make("text", { x: node.x, y: node.y - node.height / 2 + 6 + node.font * (1 + 1.28 * at), "text-anchor": "middle", "font-size": node.font.toFixed(1) }, line);
        if (at === 0) text.setAttribute("font-weight", "650");
        group.append(text);
      });
      const tell = () => chosen(node);
      group.addEventListener("click", tell);
      group.addEventListener("focus", tell);
      group.addEventListener("mouseenter", tell);
      svg.append(group);
    }
    return svg;
  };
  window.hiwater.startHeap();
})();

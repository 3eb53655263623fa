// Draws the charts of the Chat tab, above the table that Locust's own page draws there.
// The rows come from chat/history.json, oldest first; only new ones are requested.
(() => {
  "use strict";
  const POLL_MS = 1000;
  const WIDTH = 460, HEIGHT = 150, LEFT = 46, RIGHT = 8, TOP = 6, BOTTOM = 18;
  const GREEN = "#00a67d", BLUE = "#4a90e2", AMBER = "#f0a030", RED = "#e0524d";
  const CHARTS = [
    { title: "Deliveries per second", lines: [["delivered_per_second", "", GREEN]] },
    {
      title: "Delivery latency, ms",
      lines: [["delivery_p50_ms", "p50", GREEN], ["delivery_p95_ms", "p95", AMBER], ["delivery_p99_ms", "p99", RED]],
    },
    { title: "Connected users", lines: [["connected", "", BLUE]] },
    {
      title: "Delivery errors, total",
      lines: [["lost", "lost", RED], ["duplicated", "duplicated", AMBER], ["reordered", "reordered", BLUE]],
    },
    { title: "Server CPU, % of a core", lines: [["server_cpu_percent", "", AMBER]] },
    { title: "Server memory, MB", lines: [["server_memory_mb", "", BLUE]] },
    { title: "Largest outbox, KB", lines: [["largest_outbox_kb", "", AMBER]] },
    { title: "Closed as too slow, total", lines: [["slow_closes", "", RED]] },
  ];

  let rows = [], began = null, every = null, pointed = null;

  function element(name, attributes, ...children) {
    const svg = ["svg", "g", "path", "line", "text"].includes(name);
    const made = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function ceiling(most) { // the next round number
    const ten = 10 ** Math.floor(Math.log10(most || 1));
    return [1, 1.5, 2, 3, 4, 6, 8, 10].map((n) => n * ten).find((n) => n >= most) || 1;
  }

  function formatted(figure) {
    if (figure === null) return "–";
    return figure.toLocaleString("en", { maximumFractionDigits: Math.abs(figure) < 100 ? 1 : 0 });
  }

  function clock(seconds) {
    const parts = [Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
    if (seconds >= 3600) parts.unshift(Math.floor(seconds / 3600));
    return parts.map((part) => String(part).padStart(2, "0")).join(":");
  }

  function path(key, x, y) { // with gaps where nothing is known
    let drawn = "", down = false;
    for (const row of rows) {
      if (row[key] !== null) drawn += `${down ? "L" : "M"}${x(row).toFixed(1)} ${y(row[key]).toFixed(1)}`;
      down = row[key] !== null;
    }
    return drawn;
  }

  function chart({ title, lines }) {
    const figures = lines.flatMap(([key]) => rows.map((row) => row[key])).filter((f) => f !== null);
    if (!figures.length) return null; // unknown here
    const top = ceiling(figures.reduce((a, b) => Math.max(a, b), 0));
    const [first, last] = [rows[0].seconds, Math.max(rows.at(-1).seconds, rows[0].seconds + 1)];
    const x = (row) => LEFT + ((row.seconds - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
    const y = (figure) => TOP + (1 - figure / top) * (HEIGHT - TOP - BOTTOM);
    const shown = pointed ?? rows.at(-1);

    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, style: "width:100%;display:block" });
    for (const part of [0, 0.5, 1]) {
      const level = y(part * top);
      svg.append(
        element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: level, y2: level, stroke: "currentColor", opacity: 0.2 }),
        element("text", { x: LEFT - 5, y: level + 4, "text-anchor": "end" }, formatted(part * top)),
      );
    }
    svg.append(
      element("text", { x: LEFT, y: HEIGHT - 3 }, clock(first)),
      element("text", { x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, clock(last)),
    );
    if (pointed) {
      const at = x(pointed);
      svg.append(element("line", { x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM, stroke: "currentColor", opacity: 0.5 }));
    }
    for (const [key, , colour] of lines) {
      svg.append(element("path", { d: path(key, x, y), "data-line": key, stroke: colour, fill: "none", "stroke-width": 1.6 }));
    }
    svg.addEventListener("mousemove", (event) => {
      const box = svg.getBoundingClientRect();
      const wanted = ((event.clientX - box.left) / box.width) * WIDTH;
      pointed = rows.reduce((a, b) => (Math.abs(x(b) - wanted) < Math.abs(x(a) - wanted) ? b : a));
      draw();
    });
    svg.addEventListener("mouseleave", () => { pointed = null; draw(); });

    const legend = lines.map(([key, name, colour]) =>
      element("span", { style: `color:${colour};margin-left:1em;font-weight:600` }, `${name} ${formatted(shown[key])}`.trim()));
    const when = pointed ? [element("span", { style: "margin-left:1em;opacity:.7" }, clock(pointed.seconds))] : [];
    return element("figure", { style: "margin:0", "data-chart": title },
      element("figcaption", { style: "margin-bottom:4px" }, title, ...legend, ...when), svg);
  }

  // Locust's page rebuilds the table whenever the tab is selected and knows nothing of the charts: they
  // are placed in the table's container, which is removed with it; what is around it is shared by all tabs.
  function place() {
    const heading = [...document.querySelectorAll("th")].find((th) => th.textContent.trim() === "Whole run");
    const table = heading?.closest("table");
    if (!table) return null;
    const before = table.previousElementSibling;
    if (before?.id === "chat-charts") return before;
    const made = element("div", {
      id: "chat-charts",
      style: "display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:24px;" +
        "margin:16px 16px 32px;font:13px sans-serif",
    });
    made.append(element("style", {}, "#chat-charts text{font:11px sans-serif;fill:currentColor;opacity:.7}"));
    table.before(made);
    return made;
  }

  function draw() {
    const charts = place();
    if (!charts || !rows.length) return;
    const drawn = CHARTS.map(chart).filter(Boolean);
    charts.replaceChildren(charts.querySelector("style"), ...drawn);
  }

  async function poll() {
    try {
      const answer = await fetch(`./chat/history.json?after=${rows.at(-1)?.seconds ?? -1}`);
      const news = await answer.json();
      if (news.began !== began || news.every !== every) { // a new run, or thinned out: load all rows
        const all = await fetch("./chat/history.json");
        ({ began, every, rows } = await all.json());
      } else {
        rows.push(...news.rows);
      }
      if (!pointed) draw();
    } catch (error) {
      // Locust has exited, and its own page says so.
    }
    setTimeout(poll, POLL_MS);
  }

  poll();
})();

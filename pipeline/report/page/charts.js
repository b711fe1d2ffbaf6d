// Training curves: one small SVG per chart; pointer or arrow keys read values, the legend hides series.
const WIDTH = 360, HEIGHT = 170, LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 20;
const INKS = ["var(--policy)", "var(--base)", "var(--truth)", "var(--mined)", "var(--wrong)", "var(--soft)"];

function niceTicks(low, high, count) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) ticks.push(tick);
  return ticks;
}

const short = (value) =>
  value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3)));

// Running mean over a window of 5: the line one reads; the raw values stay visible behind it. Few points stay as they are.
function smooth(values) {
  if (values.length < 20) return values;
  return values.map((_, i) => {
    const part = values.slice(Math.max(0, i - 2), i + 3).filter((value) => value !== null);
    return part.length ? part.reduce((sum, value) => sum + value, 0) / part.length : null;
  });
}

function pathOf(steps, values, x, y) {
  let path = "", pen = false;
  values.forEach((value, i) => {
    if (value === null) pen = false;
    else {
      path += `${pen ? "L" : "M"}${x(steps[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
    }
  });
  return path;
}

function scales(series) {
  const steps = series.flatMap((one) => one.steps);
  const values = series.flatMap((one) => one.values).filter((value) => value !== null);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  if (low === high) [low, high] = low > 0 ? [0, 2 * low] : [low, low + 1];
  if (low > 0 && low < 0.4 * high) low = 0;
  const x = (step) => LEFT + ((step - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  return { x, y, first, last, low, high };
}

function drawAxes(svg, { x, y, first, last, low, high }) {
  for (const tick of niceTicks(low, high, 4)) {
    svg.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick), class: "axis" }));
    svg.append(draw("text", { x: LEFT - 5, y: y(tick) + 3, "text-anchor": "end", class: "tick" }, short(tick)));
  }
  for (const tick of niceTicks(first, last, 5).filter((step) => Number.isInteger(step)))
    svg.append(draw("text", { x: x(tick), y: HEIGHT - 5, "text-anchor": "middle", class: "tick" }, String(tick)));
}

function drawSeries(series, at, ink) {
  const group = draw("g", { stroke: ink, fill: "none", "stroke-linejoin": "round" });
  const values = smooth(series.values);
  group.append(draw("path", { d: pathOf(series.steps, series.values, at.x, at.y), opacity: 0.3 }));
  group.append(draw("path", { d: pathOf(series.steps, values, at.x, at.y), "stroke-width": 2 }));
  return group;
}

function setUpReading(svg, chart, at, reading, shown) {
  const steps = [...new Set(chart.series.flatMap((one) => one.steps))].sort((a, b) => a - b);
  const cursor = draw("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "axis", stroke: "var(--soft)", opacity: 0 });
  svg.append(cursor);
  let here = steps.length - 1;
  const read = (index) => {
    here = Math.max(0, Math.min(steps.length - 1, index));
    const step = steps[here];
    cursor.setAttribute("x1", at.x(step));
    cursor.setAttribute("x2", at.x(step));
    cursor.setAttribute("opacity", 1);
    const parts = chart.series.filter((one) => shown.has(one.name)).map((one) => {
      const value = one.values[one.steps.indexOf(step)];
      return `${one.name} ${value === undefined || value === null ? "–" : short(value)}`;
    });
    reading.textContent = `step ${step}: ${parts.join(", ")}`;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * WIDTH;
    const distances = steps.map((step) => Math.abs(at.x(step) - wanted));
    read(distances.indexOf(Math.min(...distances)));
  });
  svg.addEventListener("keydown", (event) => {
    const jump = { ArrowLeft: -1, ArrowRight: 1, Home: -steps.length, End: steps.length }[event.key];
    if (jump === undefined) return;
    event.preventDefault();
    read(here + jump);
  });
}

function drawChart(chart) {
  const at = scales(chart.series);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: 0 });
  svg.setAttribute("aria-label", `${chart.title} over training steps; arrow keys read values`);
  drawAxes(svg, at);
  const shown = new Set(chart.series.map((one) => one.name));
  const reading = make("div", { class: "reading", "aria-live": "polite" });
  const legend = make("div", { class: "legend" });
  chart.series.forEach((one, i) => {
    const group = drawSeries(one, at, INKS[i % INKS.length]);
    svg.append(group);
    const toggle = make("button", { type: "button", "aria-pressed": "true", style: { color: INKS[i % INKS.length] } }, one.name);
    toggle.addEventListener("click", () => {
      const on = !shown.delete(one.name);
      if (on) shown.add(one.name);
      group.style.display = on ? "" : "none";
      toggle.setAttribute("aria-pressed", on);
    });
    legend.append(toggle);
  });
  setUpReading(svg, chart, at, reading, shown);
  const last = chart.series.map((one) => `${one.name} ${short(one.values.filter((v) => v !== null).at(-1) ?? NaN)}`);
  reading.textContent = `last: ${last.join(", ")}`;
  return make("figure", { class: "chart" }, make("figcaption", {}, chart.title), svg, legend, reading);
}

const isNothing = (chart) => chart.series.every((one) => one.values.every((value) => value === 0));

function setUpCharts() {
  const place = document.getElementById("charts");
  if (!place) return;
  const charts = readJson("curves"), nothing = charts.filter(isNothing).map((chart) => chart.title);
  place.append(...charts.filter((chart) => !isNothing(chart)).map(drawChart));
  if (nothing.length) place.after(make("p", { class: "soft" }, `Zero at every step: ${nothing.join(", ")}.`));
}

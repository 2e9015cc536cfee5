// Drawings of numbers over time. Small ones are drawn here; uPlot comes only where a page has a large one.
import { el, svg } from "./dom.js";
import { many } from "./words.js";

const high = 28;
const step = 5;

function bars(numbers, most, down) {
  const half = high / 2;
  return (numbers ?? []).map((n, i) => {
    if (!n) return "";
    const h = Math.max(1.5, (Math.sqrt(n / most)) * (half - 1));
    return `M${i * step + 2} ${half}v${(down ? h : -h).toFixed(1)}`;
  }).join("");
}

const sum = (list) => (list ?? []).reduce((a, b) => a + b, 0);

// sparkline shows flows by hour: allowed ones above the line, denied ones below it. The root of the numbers is drawn, so that
// one attempt is seen beside a thousand flows. update draws others in the same place.
export function sparkline() {
  const allowed = svg("path", { class: "allowed" });
  const denied = svg("path", { class: "denied" });
  const node = svg("svg", { class: "spark", viewBox: `0 0 ${24 * step} ${high}`, role: "img", width: 24 * step, height: high },
    svg("path", { class: "axis", d: `M0 ${high / 2}H${24 * step}` }), allowed, denied);
  const update = (activity) => {
    const most = Math.max(1, ...(activity?.allowed ?? []), ...(activity?.denied ?? []));
    allowed.setAttribute("d", bars(activity?.allowed, most, false));
    denied.setAttribute("d", bars(activity?.denied, most, true));
    node.setAttribute("aria-label", `Last 24 hours: ${many(sum(activity?.allowed), "flow")} allowed, ${sum(activity?.denied)} denied`);
  };
  return { node, update };
}

let loading;
function uPlot() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(el("link", { rel: "stylesheet", href: "/assets/vendor/uPlot.min.css" }),
      el("script", { src: "/assets/vendor/uPlot.min.js", load: () => resolve(window.uPlot), error: () => { loading = undefined; reject(new Error("The chart could not be loaded.")); } }));
  });
  return loading;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// resolved is a colour of the style sheet as the canvas needs it: the one of the light or dark that is on.
function resolved(name) {
  const probe = el("span", { class: `probe-${name}` });
  document.body.append(probe);
  const c = getComputedStyle(probe).color;
  probe.remove();
  return c || colour(`--${name}`);
}

// hourly is a chart of the last 24 hours. lines is [[label, colour name], …]; update takes numbers by hour for each of them.
export function hourly(label, lines, signal) {
  const box = el("div", { class: "chart", role: "img", "aria-label": label });
  let plot, data;
  const options = (u) => ({
    width: box.clientWidth || 300, height: 170, cursor: { y: false }, legend: { live: true },
    scales: { x: { range: (_, min, max) => [min - 1800, max + 1800] }, y: { range: (_, __, max) => [0, Math.max(5, max * 1.1)] } },
    axes: [{ stroke: resolved("muted"), values: (_, at) => at.map((t) => `${new Date(t * 1000).getHours()}:00`), grid: { show: false }, ticks: { show: false } },
      { stroke: resolved("muted"), grid: { stroke: resolved("line"), width: 1 }, ticks: { show: false }, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000] }],
    series: [{ label: "Hour", value: "{YYYY}-{MM}-{DD} {HH}:00" }, ...lines.map(([name, c]) =>
      ({ label: name, stroke: resolved(c), fill: resolved(c), width: 0, points: { show: false }, paths: u.paths.bars({ size: [0.7, 40] }) }))],
  });
  const draw = async () => {
    const u = await uPlot();
    if (signal.aborted || !data) return;
    plot?.destroy();
    plot = new u(options(u), data, box);
  };
  const resize = new ResizeObserver(() => plot && box.clientWidth && plot.setSize({ width: box.clientWidth, height: 170 }));
  resize.observe(box);
  const again = () => plot && draw();
  addEventListener("themed", again, { signal });
  signal.addEventListener("abort", () => { resize.disconnect(); plot?.destroy(); });
  const update = (...numbers) => {
    const hour = 3600;
    const now = Math.floor(Date.now() / 1000 / hour) * hour;
    data = [Array.from({ length: 24 }, (_, i) => now - (23 - i) * hour), ...numbers];
    box.setAttribute("aria-label", `${label}: ${lines.map(([name], i) => `${sum(numbers[i])} ${name.toLowerCase()}`).join(", ")}`);
    if (plot) plot.setData(data);
    else draw().catch((err) => box.replaceChildren(el("p", { class: "muted" }, err.message)));
  };
  return { node: box, update };
}

// The live figures: asked of /stats once a second, as differences between two askings; and the rain of answers.

import { figures, onAnswer } from "./data.js";
import { percent, put, span, whole } from "./draw.js";

const REMEMBERED = 60;
const history = { hits: [], rate: [] };
let last = null;

const show = (id, html) => { document.getElementById(id).innerHTML = html; };

/** Begins to ask and to draw. */
export function beginLive() {
  const round = async () => {
    try { take(await figures()); } catch { show("latency-tail", "the application does not answer"); }
    setTimeout(round, 1000);
  };
  round();
  beginRain();
}

function take(now) {
  const before = last ?? now;
  last = now;
  const seconds = now.at - before.at, database = now.database;
  const made = (name) => database[name] - before.database[name];
  const reads = made("hits") + made("revalidated") + made("misses");
  const rate = seconds > 0 ? (now.requests - before.requests) / seconds : 0;
  if (reads > 0) remember(history.hits, (made("hits") + made("revalidated")) / reads);
  remember(history.rate, rate);
  show("hit-rate", now.hit_rate === null ? "–" : percent(now.hit_rate).replace("%", "<small>%</small>"));
  show("rate", whole(rate));
  show("statements", whole(database.statements));
  show("answers", `for ${whole(now.requests)} requests, ${whole(database.writes)} ${database.writes === 1 ? "write" : "writes"}`);
  spark("hit-spark", history.hits, 1);
  spark("rate-spark", history.rate, Math.max(5, ...history.rate));
  latency(now, before);
}

function remember(list, value) {
  list.push(value);
  if (list.length > REMEMBERED) list.shift();
}

/** Percentiles of the last second; when it was quiet, those since the start. */
function latency(now, before) {
  let counts = now.latencies.map((count, i) => count - before.latencies[i]);
  const quiet = counts.every((count) => count === 0);
  if (quiet) counts = now.latencies;
  const total = counts.reduce((a, b) => a + b, 0);
  if (total === 0) return;
  const at = (share) => {
    let seen = 0;
    for (let i = 0; i < counts.length; i++) {
      seen += counts[i];
      if (seen >= share * total) return now.bounds[Math.min(i, now.bounds.length - 1)];
    }
    return now.bounds.at(-1);
  };
  show("latency", span(at(.5)).replace(" ms", "<small>ms p50</small>"));
  show("latency-tail", `p95 ${span(at(.95))}, p99 ${span(at(.99))}${quiet ? ", since the start" : ""}`);
}

function spark(id, values, top) {
  const svg = document.getElementById(id);
  svg.setAttribute("viewBox", `0 0 ${REMEMBERED - 1} 100`);
  if (values.length < 2) return;
  const from = REMEMBERED - values.length;
  const line = values.map((value, i) => `${from + i},${(98 - 96 * Math.min(1, value / top)).toFixed(1)}`).join(" L");
  svg.replaceChildren();
  put(svg, "path", { d: `M${line} L${REMEMBERED - 1},100 L${from},100 Z`, class: "area" });
  put(svg, "path", { d: `M${line}` });
}

// The rain: a dot for each answer, new ones at the right, quick ones at the bottom; the scale is logarithmic.

const drops = [];
const WINDOW = 20_000, FASTEST = .01, SLOWEST = 1000;

function beginRain() {
  onAnswer((took) => {
    if (Number.isFinite(took)) drops.push({ at: performance.now(), took });
    if (drops.length > 6000) drops.splice(0, 1000);
  });
  const surface = document.getElementById("rain");
  const frame = () => { drawRain(surface); requestAnimationFrame(frame); };
  frame();
}

function drawRain(surface) {
  const scale = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = surface;
  if (surface.width !== Math.round(width * scale)) surface.width = Math.round(width * scale);
  if (surface.height !== Math.round(height * scale)) surface.height = Math.round(height * scale);
  const pen = surface.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const left = 52, y = (took) => {
    const share = Math.log(Math.max(FASTEST, Math.min(SLOWEST, took)) / FASTEST) / Math.log(SLOWEST / FASTEST);
    return height - 8 - share * (height - 16);
  };
  pen.font = "11.5px system-ui, sans-serif";
  for (const [took, words] of [[.01, "10 µs"], [.1, "100 µs"], [1, "1 ms"], [10, "10 ms"], [100, "100 ms"], [1000, "1 s"]]) {
    pen.fillStyle = colour("--line");
    pen.fillRect(left, Math.round(y(took)), width - left, 1);
    pen.fillStyle = colour("--faint");
    pen.fillText(words, 0, y(took) + 4);
  }
  const now = performance.now(), good = colour("--good"), warm = colour("--warm");
  for (const drop of drops) {
    const age = (now - drop.at) / WINDOW;
    if (age > 1) continue;
    pen.globalAlpha = .85 * (1 - age ** 3);
    pen.fillStyle = drop.took < 1 ? good : warm;
    pen.beginPath();
    pen.arc(width - 6 - age * (width - left - 12), y(drop.took), drop.took < 1 ? 2.2 : 3.2, 0, 2 * Math.PI);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

// The page: asks for the reports, draws them, records delays, and shows what changed at once.

import { carrierName, drawBusiest, drawCarriers, drawWeather } from "./charts.js";
import { ask, record } from "./data.js";
import { MONTHS, span, spoken, whole } from "./draw.js";
import { beginLive } from "./live.js";
import { drawMap, setAirports } from "./map.js";
import { setVisitors } from "./visitors.js";

const $ = (id) => document.getElementById(id);
let airport = "JFK";
let flight = null;

/** The reports on the page: what is asked, and what becomes of the rows. */
const REPORTS = {
  routes: { path: () => "/api/routes?limit=500", draw: (rows) => drawMap($("map"), rows) },
  weather: {
    path: () => `/api/weather/${airport}`,
    draw: (rows) => { $("weather").dataset.scope = airport; drawWeather($("weather"), rows); },
  },
  carriers: { path: () => "/api/carriers", draw: (rows) => drawCarriers($("carriers"), rows, chooseFrom) },
  busiest: { path: () => "/api/routes", draw: (rows) => drawBusiest($("busiest"), rows) },
  latest: { path: () => "/api/delays", draw: drawLatest },
};

/** Asks for a report, draws it and shows how long its data took, which is returned. */
async function load(name, shown = true) {
  const { rows, took } = await ask(REPORTS[name].path());
  if (shown) REPORTS[name].draw(rows);
  mark(name, took);
  return took;
}

function mark(name, took) {
  const badge = document.querySelector(`[data-took="${name}"]`);
  badge.textContent = span(took);
  badge.className = `took ${took < 1 ? "fast" : "slow"}`;
}

const loadAll = (shown = true) => Promise.all(Object.keys(REPORTS).map((name) => load(name, shown)));

function drawLatest(rows) {
  const list = $("latest"), newest = Number(list.dataset.newest ?? 0);
  list.replaceChildren(...rows.map((row) => {
    const item = document.createElement("li");
    item.append(`${row.carrier}${row.number}, ${row.origin} → ${row.dest}`);
    const minutes = document.createElement("span");
    minutes.textContent = spoken(row.minutes);
    minutes.className = row.minutes > 15 ? "late" : "early";
    const by = document.createElement("small");
    by.textContent = `no. ${row.id}, ${MONTHS[row.month - 1]}, by ${row.reported_by}`;
    item.append(minutes, by);
    if (newest && row.id > newest) item.classList.add("fresh");
    return item;
  }));
  if (!rows.length) list.innerHTML = '<li class="none">None yet. Record one above.</li>';
  list.dataset.newest = rows[0]?.id ?? 0;
}

// Choosing a flight: a small carrier shows a change best, because one flight weighs more there.

const SMALL = ["hawaiian", "alaska", "frontier", "mesa", "skywest"];
const any = (list) => list[Math.floor(Math.random() * list.length)];

async function chooseAny() {
  for (let i = 0; i < 8; i++) {
    const { rows } = await ask(`/api/search?q=${any(SMALL)}&month=${1 + Math.floor(Math.random() * 12)}`);
    if (rows.length) return choose(any(rows));
  }
}

async function chooseFrom(square) {
  const { rows } = await ask(`/api/search?q=${square.carrier}&month=${square.month}`);
  const own = rows.filter((row) => row.carrier === square.carrier);
  if (own.length) choose(any(own));
}

function choose(row) {
  flight = row;
  const chosen = $("chosen");
  chosen.innerHTML = "<b></b> ";
  chosen.firstChild.textContent = `${row.carrier}${row.number}, ${row.origin} → ${row.dest}`;
  const known = row.minutes === null ? "no arrival known" : `now ${spoken(row.minutes)}`;
  chosen.append(`${carrierName(row.carrier)}, ${row.day} ${MONTHS[row.month - 1]}, ${known}`);
  $("record").disabled = false;
}

async function recordIt() {
  const minutes = Number($("minutes").value), told = $("told");
  $("record").disabled = true;
  try {
    const { id, took } = await record(flight.id, minutes);
    const first = await loadAll();
    // Every worker has a memory of its own, and which of them answers is chance: a few rounds, until all of them know.
    let again = first;
    for (let round = 0; round < 6 && Math.max(...again) > 1; round++) again = await loadAll(false);
    const pace = (times) => `<span class="${Math.max(...times) < 1 ? "fast" : "slow"}">${span(Math.max(...times))}</span>`;
    told.innerHTML = `<b>Delay no. ${whole(id)}</b> committed in ${span(took)}. The charts knew it at once, the slowest ` +
      `worked out in ${pace(first)}; read again, ${pace(again)}.`;
    flight.minutes = minutes;
    choose(flight);
    await searchNow();
  } catch (error) {
    told.textContent = `That did not work: ${error.message}`;
  }
  $("record").disabled = false;
}

async function searchNow() {
  const { rows, took } = await ask(`/api/search?q=${encodeURIComponent($("words").value)}&month=${$("month").value}`);
  mark("search", took);
  const table = document.createElement("table");
  table.innerHTML = "<thead><tr><th>Flight<th>Day<th>Airline<th>Route<th>To<th class=number>Arrival<th></tr></thead><tbody></tbody>";
  for (const row of rows) {
    const line = table.tBodies[0].insertRow();
    for (const words of [`${row.carrier}${row.number}`, `${row.day} ${MONTHS[row.month - 1]}`, row.airline, `${row.origin} → ${row.dest}`, row.airport]) {
      line.insertCell().textContent = words;
    }
    const minutes = line.insertCell();
    minutes.textContent = row.minutes === null ? "cancelled" : spoken(row.minutes);
    minutes.className = `number ${row.minutes > 15 ? "late" : row.minutes < 0 ? "early" : ""}`;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "choose";
    button.addEventListener("click", () => { choose(row); scrollTo({ top: 0, behavior: "smooth" }); });
    line.insertCell().append(button);
  }
  const about = document.createElement("p");
  about.className = "about";
  about.textContent = rows.length ? `${whole(rows[0].total)} found${rows[0].total > rows.length ? ", the first 20 shown" : ""}` : "Nothing found.";
  $("results").replaceChildren(about, table);
}

function beginControls() {
  const minutes = $("minutes"), say = () => { $("minutes-out").textContent = spoken(Number(minutes.value)); };
  minutes.addEventListener("input", say);
  say();
  $("record").addEventListener("click", recordIt);
  $("another").addEventListener("click", chooseAny);
  $("month").append(...MONTHS.map((name, i) => new Option(name, i + 1)));
  $("search").addEventListener("submit", (event) => { event.preventDefault(); searchNow(); });
  $("month").addEventListener("change", searchNow);
  $("airports").addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    airport = chosen.dataset.airport;
    for (const button of $("airports").children) button.setAttribute("aria-pressed", String(button === chosen));
    load("weather");
  });
  $("visitors").addEventListener("change", (event) => setVisitors(event.target.checked));
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
}

beginControls();
beginLive();
setAirports((await ask("/api/airports")).rows);
await loadAll();
await Promise.all([chooseAny(), searchNow()]);
setVisitors($("visitors").checked);

// Visitors that this browser plays: a few loops that ask what is popular, so that the figures have something to show.

import { ask } from "./data.js";

const VISITORS = 6, PAUSE = 60;
const MONTHS = [7, 12, 8, 6, 4, 3, 5, 1, 10, 2, 9, 11];
const WORDS = ["boston", "los angeles", "delta", "chicago", "jetblue", "atlanta", "miami", "denver", "united", "seattle"];
const CARRIERS = ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV", "HA", "OO"];
const PATHS = [
  "/api/carriers", "/api/routes", "/api/weather/JFK", "/api/weather/EWR", "/api/weather/LGA", "/api/routes?limit=500",
  ...CARRIERS.map((code) => `/api/carriers?carrier=${code}`),
  ...MONTHS.flatMap((month) => [`/api/routes?month=${month}`, `/api/search?q=${encodeURIComponent(WORDS[month % 10])}&month=${month}`]),
  ...MONTHS.map((month) => `/api/weather/JFK?month=${month}`),
  ...Array.from({ length: 60 }, (_, i) => `/api/flights/${1 + i * 5003}`),
];
const weights = PATHS.map((_, i) => 1 / (i + 1));
const total = weights.reduce((a, b) => a + b, 0);

let running = false;

/** Lets the visitors come or go. */
export function setVisitors(on) {
  if (on === running) return;
  running = on;
  if (on) for (let i = 0; i < VISITORS; i++) visit();
}

function draw() {
  let left = Math.random() * total;
  for (let i = 0; i < PATHS.length; i++) {
    left -= weights[i];
    if (left <= 0) return PATHS[i];
  }
  return PATHS[0];
}

async function visit() {
  while (running) {
    if (document.hidden) { await new Promise((done) => setTimeout(done, 1000)); continue; }
    try { await ask(draw()); } catch { await new Promise((done) => setTimeout(done, 1000)); }
    await new Promise((done) => setTimeout(done, PAUSE * (.5 + Math.random())));
  }
}

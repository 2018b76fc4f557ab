// The map: no borders and no tiles, only what the data knows. Every airport is a point, and the points draw the country.

import { canvas, delayColour, explain, mean, percent, put, rise, signed, spoken, whole } from "./draw.js";

const WIDTH = 760, HEIGHT = 452;
// Airports of the timetable that lie beyond the map, or are missing from the list of airports.
const BEYOND = { ANC: [26, 360], HNL: [26, 428], BQN: [664, 414], SJU: [690, 400], PSE: [684, 434], STT: [716, 420] };
const HOME = ["JFK", "EWR", "LGA"];

// Albers' conic projection with the parallels usual for the United States.
const rad = (degrees) => degrees * Math.PI / 180;
const n = (Math.sin(rad(29.5)) + Math.sin(rad(45.5))) / 2;
const c = Math.cos(rad(29.5)) ** 2 + 2 * n * Math.sin(rad(29.5));
const rho = (lat) => Math.sqrt(c - 2 * n * Math.sin(rad(lat))) / n;

function project(lon, lat) {
  const angle = n * rad(lon + 96), r = rho(lat);
  return [346 + SCALE * r * Math.sin(angle), 238 + SCALE * (r * Math.cos(angle) - rho(37.5))];
}

const SCALE = 975;
let points = new Map();

/** Learns where the airports are. */
export function setAirports(rows) {
  points = new Map(rows.map((row) => [row.faa, { ...row, at: project(row.lon, row.lat) }]));
}

const inside = ([x, y]) => x > 4 && x < WIDTH - 4 && y > 4 && y < HEIGHT - 4;

/** One arc for each destination, of all routes to it together. */
export function drawMap(place, rows) {
  const goals = new Map();
  for (const row of rows) {
    const goal = goals.get(row.dest) ?? { dest: row.dest, airport: row.airport, flights: 0, arrived: 0, late: 0, minutes: 0 };
    for (const name of ["flights", "arrived", "late", "minutes"]) goal[name] += row[name];
    goals.set(row.dest, goal);
  }
  const before = place.goals;
  place.goals = goals;
  const svg = canvas(place, WIDTH, HEIGHT, "Routes from New York City, coloured by their mean delay");
  const land = put(svg, "g", { class: "land" });
  for (const { lon, lat, at } of points.values()) {
    if (lon > -126 && lon < -66 && lat > 24 && lat < 50 && inside(at)) {
      put(land, "circle", { cx: at[0].toFixed(1), cy: at[1].toFixed(1), r: 1.6 });
    }
  }
  const arcs = put(svg, "g"), places = put(svg, "g");
  const home = points.get("JFK")?.at ?? [640, 150];
  const sorted = [...goals.values()].sort((a, b) => b.flights - a.flights);
  const ends = new Map();
  for (const goal of sorted.toReversed()) {
    const known = points.get(goal.dest)?.at;
    const end = BEYOND[goal.dest] ?? known;
    if (!end || !inside(end)) continue;
    ends.set(goal.dest, end);
    drawRoute(arcs, places, goal, home, end);
  }
  nameThem(svg, sorted, ends, home);
  for (const code of HOME) {
    const at = points.get(code)?.at;
    if (at) put(svg, "circle", { cx: at[0], cy: at[1], r: 3.4, class: "home" });
  }
  put(svg, "text", { x: home[0] + 9, y: home[1] + 15, class: "strong" }, "New York");
  if (!before) return;
  for (const goal of goals.values()) {
    const old = before.get(goal.dest), end = ends.get(goal.dest);
    if (old && end && old.minutes !== goal.minutes) fly(svg, home, end, spoken(goal.minutes - old.minutes));
  }
}

function curve([x1, y1], [x2, y2]) {
  const far = Math.hypot(x2 - x1, y2 - y1);
  const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2 - far * .2];
  return `M${x1.toFixed(1)},${y1.toFixed(1)} Q${mx.toFixed(1)},${my.toFixed(1)} ${x2.toFixed(1)},${y2.toFixed(1)}`;
}

function drawRoute(arcs, places, goal, home, end) {
  const colour = goal.arrived ? delayColour(mean(goal)) : "var(--faint)";
  const arc = put(arcs, "path", { d: curve(home, end), class: "arc", "stroke-width": .7 + Math.sqrt(goal.flights) / 22, "stroke-opacity": .72 });
  arc.style.stroke = colour;
  const dot = put(places, "circle", { cx: end[0], cy: end[1], r: 2.4 + Math.sqrt(goal.flights) / 32, class: "place" });
  dot.style.fill = colour;
  const words = `${goal.airport} (${goal.dest})\n${whole(goal.flights)} flights, ${signed(mean(goal))} min on average\n` +
    `${percent(goal.late / (goal.arrived || 1))} late`;
  explain(arc, words);
  explain(dot, words);
}

/** Names the busiest places, and those beyond the map, where there is room for a name. */
function nameThem(svg, sorted, ends, home) {
  const taken = [[home[0] + 30, home[1] + 15]];
  const beyond = sorted.filter((goal) => goal.dest in BEYOND), others = sorted.filter((goal) => !(goal.dest in BEYOND));
  for (const { dest } of [...beyond, ...others.slice(0, 40)]) {
    const end = ends.get(dest);
    if (!end) continue;
    const [x, y] = dest in BEYOND ? [end[0] + 20, end[1] + 4] : [end[0], end[1] + 17];
    if (!(dest in BEYOND) && taken.some(([a, b]) => Math.abs(a - x) < 34 && Math.abs(b - y) < 15)) continue;
    taken.push([x, y]);
    put(svg, "text", { x, y, "text-anchor": "middle", class: "name" }, dest);
  }
}

/** Something changed for a destination: a stroke runs along its arc, and the change rises from its end. */
function fly(svg, home, end, words) {
  const path = put(svg, "path", { d: curve(home, end), class: "pulse" });
  const long = path.getTotalLength(), piece = Math.max(18, long * .12);
  path.style.strokeDasharray = `${piece} ${long + piece}`;
  const flown = path.animate([{ strokeDashoffset: piece }, { strokeDashoffset: -long }], { duration: 1300, easing: "ease-in-out" });
  flown.onfinish = () => {
    path.remove();
    rise(svg, end[0], end[1] - 4, words);
    const wave = put(svg, "circle", { cx: end[0], cy: end[1], r: 5, class: "ring" });
    wave.animate([{ r: "4px", opacity: 1 }, { r: "26px", opacity: 0 }], { duration: 1100, iterations: 2 }).onfinish = () => wave.remove();
  };
}

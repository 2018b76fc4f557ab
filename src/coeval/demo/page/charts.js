// The charts: a square for each carrier and month, bars for weather and routes. Each is drawn anew from its rows and
// remembers the last ones, so that what changed can be shown.

import { MONTHS, canvas, delayColour, explain, mean, percent, put, ring, rise, signed, spoken, whole } from "./draw.js";

const NAMES = {
  "9E": "Endeavor", AA: "American", AS: "Alaska", B6: "JetBlue", DL: "Delta", EV: "ExpressJet", F9: "Frontier", FL: "AirTran",
  HA: "Hawaiian", MQ: "Envoy", OO: "SkyWest", UA: "United", US: "US Airways", VX: "Virgin", WN: "Southwest", YV: "Mesa",
};

/** What a flight's carrier is called. */
export const carrierName = (code) => NAMES[code] ?? code;

/** Compares rows with those drawn before in the same place; calls back with a row and the change of its minutes. */
function changes(place, key, rows, found) {
  const before = place.rowsBefore;
  place.rowsBefore = new Map(rows.map((row) => [key(row), row]));
  if (!before || place.scopeBefore !== place.dataset.scope) {
    place.scopeBefore = place.dataset.scope;
    return;
  }
  for (const row of rows) {
    const old = before.get(key(row));
    if (old && old.minutes !== row.minutes) found(row, row.minutes - old.minutes);
  }
}

/** Squares: a row for each carrier, a column for each month. */
export function drawCarriers(place, rows, onChoose) {
  const carriers = [...new Set(rows.map((row) => row.carrier))];
  const total = (code) => rows.filter((row) => row.carrier === code).reduce((sum, row) => sum + row.flights, 0);
  carriers.sort((a, b) => total(b) - total(a));
  const left = 92, top = 22, right = 66, width = 760, high = 25, wide = (width - left - right) / 12;
  const svg = canvas(place, width, top + carriers.length * high + 2, "Mean delay by carrier and month");
  MONTHS.forEach((month, i) => put(svg, "text", { x: left + (i + .5) * wide, y: 13, "text-anchor": "middle" }, month));
  const spot = (row) => [left + (row.month - 1) * wide + 1.5, top + carriers.indexOf(row.carrier) * high + 1.5];
  carriers.forEach((code, i) => {
    put(svg, "text", { x: left - 10, y: top + (i + .66) * high, "text-anchor": "end", class: "strong" }, carrierName(code));
    put(svg, "text", { x: width, y: top + (i + .66) * high, "text-anchor": "end" }, whole(total(code)));
  });
  put(svg, "text", { x: width, y: 13, "text-anchor": "end" }, "flights");
  for (const row of rows) {
    const [x, y] = spot(row);
    const cell = put(svg, "rect", { x, y, width: wide - 3, height: high - 3, rx: 5, class: "cell" });
    cell.style.fill = row.arrived ? delayColour(mean(row)) : "var(--wash)";
    explain(cell, `${carrierName(row.carrier)}, ${MONTHS[row.month - 1]}\n${signed(mean(row))} min on average\n` +
      `${whole(row.flights)} flights, ${percent(row.late / (row.arrived || 1))} late`);
    cell.addEventListener("click", () => onChoose(row));
  }
  changes(place, (row) => `${row.carrier} ${row.month}`, rows, (row, change) => {
    const [x, y] = spot(row);
    ring(svg, x, y, wide - 3, high - 3);
    rise(svg, x + wide / 2, y, spoken(change));
  });
}

const SKIES = {
  fair: "Fair", "strong wind": "Strong wind", "rain or snow": "Rain or snow", "low visibility": "Low visibility", "no record": "No record",
};

/** Bars of the share on time, for each kind of weather. */
export function drawWeather(place, rows) {
  const order = Object.keys(SKIES);
  rows = rows.toSorted((a, b) => order.indexOf(a.conditions) - order.indexOf(b.conditions));
  const width = 360, high = 74;
  const svg = canvas(place, width, rows.length * high, "Share of arrivals on time by weather");
  const spot = {};
  rows.forEach((row, i) => {
    const share = row.arrived ? 1 - row.late / row.arrived : 0, y = i * high;
    spot[row.conditions] = [width - 24, y + 12, y];
    put(svg, "text", { x: 0, y: y + 15, class: "strong", "font-size": 13.5 }, SKIES[row.conditions] ?? row.conditions);
    put(svg, "text", { x: width, y: y + 15, "text-anchor": "end", class: "strong" }, percent(share));
    put(svg, "rect", { x: 0, y: y + 25, width, height: 14, rx: 7, class: "rail" });
    const bar = put(svg, "rect", { x: 0, y: y + 25, height: 14, rx: 7, class: "bar", width: Math.max(4, width * share) });
    bar.style.fill = delayColour(34 - 44 * Math.max(0, (share - .5) / .35));
    put(svg, "text", { x: 0, y: y + 56 }, `${whole(row.flights)} flights, ${signed(mean(row))} min on average`);
  });
  changes(place, (row) => row.conditions, rows, (row, change) => {
    const [x, y, top] = spot[row.conditions];
    ring(svg, -4, top + 21, width + 8, 22);
    rise(svg, x - 60, y + 4, spoken(change));
  });
}

/** Bars of the busiest routes, coloured by their delay. */
export function drawBusiest(place, rows) {
  rows = rows.slice(0, 12);
  const width = 360, high = 30, left = 92, most = rows[0]?.flights ?? 1;
  const svg = canvas(place, width, rows.length * high, "The busiest routes");
  rows.forEach((row, i) => {
    const y = i * high, long = (width - left - 92) * row.flights / most;
    put(svg, "text", { x: 0, y: y + 17, class: "strong" }, `${row.origin} → ${row.dest}`);
    const bar = put(svg, "rect", { x: left, y: y + 4, width: long, height: 18, rx: 5, class: "bar" });
    bar.style.fill = delayColour(mean(row));
    put(svg, "text", { x: left + long + 8, y: y + 17 }, `${whole(row.flights)}`);
    put(svg, "text", { x: width, y: y + 17, "text-anchor": "end", class: "strong" }, signed(mean(row)));
    explain(bar, `${row.airport}\n${whole(row.flights)} flights, ${percent(row.late / (row.arrived || 1))} late`);
  });
  changes(place, (row) => row.origin + row.dest, rows, (row, change) => {
    const y = rows.indexOf(row) * high;
    ring(svg, -3, y + 1, width + 6, high - 6);
    rise(svg, left + 60, y + 6, spoken(change));
  });
}

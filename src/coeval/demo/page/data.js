// Asking the application. Every answer comes with the time its data took, from the Server-Timing header.

const listeners = [];

/** Calls back with (milliseconds, path) for every answer. */
export function onAnswer(listener) { listeners.push(listener); }

/** The rows of a report as objects, with the time the data took. */
export async function ask(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const took = Number(/dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "")?.[1] ?? NaN);
  const { columns, rows } = await response.json();
  for (const listener of listeners) listener(took, path);
  return { rows: rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]]))), took };
}

/** Records a delay. When this returns, it is on the disk; with the time the whole request took. */
export async function record(flight, minutes) {
  const begin = performance.now();
  const response = await fetch("/api/delays", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ flight_id: flight, minutes, reported_by: "the page" }),
  });
  if (!response.ok) throw new Error(`the delay was refused: ${response.status}`);
  return { id: (await response.json()).id, took: performance.now() - begin };
}

/** The figures of all workers together. */
export async function figures() {
  const response = await fetch("/stats", { cache: "no-store" });
  if (!response.ok) throw new Error(`/stats: ${response.status}`);
  return response.json();
}

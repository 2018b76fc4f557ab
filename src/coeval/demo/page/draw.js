// What all drawings share: SVG elements, colours of delays, words for minutes, the tooltip.

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes, put into a parent. */
export function put(parent, name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== "") element.textContent = text;
  parent.append(element);
  return element;
}

/** An empty drawing of a size in its own units, which replaces what a place held. */
export function canvas(place, width, height, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  place.replaceChildren(svg);
  return svg;
}

/** The colour of a mean delay: green when early, pale when on time, then orange and red. */
export function delayColour(minutes) {
  const stops = [[-10, "var(--good)"], [3, "var(--middle)"], [18, "var(--warm)"], [34, "var(--bad)"]];
  if (minutes <= stops[0][0]) return stops[0][1];
  for (let i = 1; i < stops.length; i++) {
    const [from, below] = stops[i - 1], [to, above] = stops[i];
    if (minutes <= to) return `color-mix(in oklch, ${above} ${Math.round(100 * (minutes - from) / (to - from))}%, ${below})`;
  }
  return stops.at(-1)[1];
}

/** Minutes as a person says them: "+2 h 05", "−7 min". */
export function spoken(minutes) {
  const sign = minutes < 0 ? "−" : "+", size = Math.abs(Math.round(minutes));
  return size < 60 ? `${sign}${size} min` : `${sign}${Math.floor(size / 60)} h ${String(size % 60).padStart(2, "0")}`;
}

export const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);
export const whole = (value) => Math.round(value).toLocaleString("en-US");
export const percent = (value) => (100 * value).toFixed(1) + "%";
export const mean = (row) => (row.arrived ? row.minutes / row.arrived : 0);
export const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time in milliseconds with the precision that means something. */
export function span(milliseconds) {
  if (milliseconds < 10) return milliseconds.toFixed(2) + " ms";
  return milliseconds < 100 ? milliseconds.toFixed(1) + " ms" : whole(milliseconds) + " ms";
}

const tip = document.getElementById("tip");

/** Shows words beside the pointer while it is over an element. */
export function explain(element, words) {
  element.addEventListener("pointermove", (event) => {
    tip.textContent = typeof words === "function" ? words() : words;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - 14 - box.width : event.clientX + 14;
    tip.style.left = Math.max(6, left) + "px";
    tip.style.top = Math.max(6, event.clientY - box.height - 10) + "px";
  });
  element.addEventListener("pointerleave", () => { tip.hidden = true; });
}

/** A number that rises over a place that has just changed. */
export function rise(svg, x, y, words) {
  const text = put(svg, "text", { x, y, class: "change", "text-anchor": "middle" }, words);
  const moved = text.animate(
    [{ transform: "translateY(4px)", opacity: 0 }, { transform: "translateY(-6px)", opacity: 1, offset: .15 },
     { transform: "translateY(-10px)", opacity: 1, offset: .75 }, { transform: "translateY(-20px)", opacity: 0 }],
    { duration: 3200, easing: "ease-out" });
  moved.onfinish = () => text.remove();
}

/** A ring that closes around a rectangle that has just changed. */
export function ring(svg, x, y, width, height) {
  const around = put(svg, "rect", { x, y, width, height, rx: 5, class: "ring" });
  const shown = around.animate(
    [{ transform: "scale(1.9)", opacity: 0 }, { transform: "scale(1)", opacity: 1, offset: .2 },
     { opacity: 1, offset: .8 }, { opacity: 0 }],
    { duration: 3200, easing: "ease-out" });
  around.style.transformBox = "fill-box";
  around.style.transformOrigin = "center";
  shown.onfinish = () => around.remove();
}

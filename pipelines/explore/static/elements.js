// Elements made without markup: whatever a crawled page said becomes text, and characters that hide or steer are shown.

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;

/** An element with attributes, listeners (`onclick`) and children, which may be texts. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same for pictures that are drawn. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

export const byId = (id) => document.getElementById(id);

/** A text from outside: isolated, so that its direction ends with it, and with nothing in it unseen. */
export function foreign(text) {
  const shown = make("bdi", { dir: "auto" });
  let plain = "";
  for (const letter of String(text)) {
    if (!HIDDEN.test(letter)) {
      plain += letter;
      continue;
    }
    shown.append(plain, make("span", { class: "hidden-sign" }, nameOf(letter)));
    plain = "";
  }
  shown.append(plain);
  return shown;
}

/** The same as a string, for titles and alternative texts. */
export function visible(text) {
  return [...String(text)].map((letter) => (HIDDEN.test(letter) ? nameOf(letter) : letter)).join("");
}

function nameOf(letter) {
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[letter];
  return short ?? `\\u{${letter.codePointAt(0).toString(16)}}`;
}

/** A link for http and https, opened without saying where from; any other address stays a text. */
export function address(url) {
  let parsed = null;
  try {
    parsed = new URL(url);
  } catch {
    return foreign(url);
  }
  if (!["http:", "https:"].includes(parsed.protocol)) return foreign(url);
  return make("a", { href: parsed.href, rel: "noreferrer noopener", target: "_blank" }, foreign(url));
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** A number as a reader wants it: thousands apart, four digits behind. */
export function shortNumber(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

export function percent(part, whole) {
  return whole ? `${((100 * part) / whole).toFixed(1)} %` : "–";
}

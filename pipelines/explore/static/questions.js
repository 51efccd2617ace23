// Questions to the server behind this page: each kind's latest alone counts, an older one is given up.

const underway = new Map();

export class Refused extends Error {}

/** Ask `api/<what>`; null where a newer question of the same kind came in between. */
export async function ask(what, words = {}) {
  const given = Object.entries(words).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return fetched(`api/${what}?${new URLSearchParams(given)}`, {}, what);
}

/** Write one answer; these are never given up. */
export async function send(what, body) {
  return fetched(`api/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

async function fetched(path, options, kind = null) {
  const control = new AbortController();
  if (kind !== null) {
    underway.get(kind)?.abort();
    underway.set(kind, control);
  }
  try {
    const reply = await fetch(path, { ...options, signal: control.signal, credentials: "omit" });
    if (reply.ok) return await reply.json();
    const isJson = reply.headers.get("Content-Type")?.startsWith("application/json");
    const told = isJson ? (await reply.json()).refused : await reply.text();
    throw new Refused(told.trim() || `status ${reply.status}`);
  } catch (error) {
    if (error instanceof Refused) throw error;
    if (error.name === "AbortError") return null;
    throw new Refused("no answer: `curate explore` has ended, or was stopped");
  }
}

/** The latest call after a short rest, for sliders that move on. */
export function rested(milliseconds, work) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}

// The page: what is asked stands in its address, the answer below; keys for everything.

import { card, moveAmong } from "./cards.js";
import { byId, foreign, make, percent, replace, shortNumber } from "./elements.js";
import { labelKey, startLabelling } from "./labelling.js";
import { Refused, ask } from "./questions.js";
import { openSample } from "./sample.js";
import { refreshThreshold, startThreshold } from "./threshold.js";
import { otherLanguage, say, sayAll } from "./words.js";

const asked = { where: "", reason: "", sort: "", way: "down", page: 0 };
let about = null;
let found = null;
let countedFor = null;
let isLabelling = false;

start();

async function start() {
  sayAll();
  about = await ask("about");
  document.title = `${about.name} – curate explore`;
  replace(byId("name"), foreign(about.name));
  if (window.matchMedia("(max-width: 52rem)").matches) byId("reasons-box").open = false;
  else byId("threshold").open = true;
  fillSort();
  fillColumns();
  startThreshold(about, () => asked.where, openSample, told);
  listen();
  readAddress();
  await find();
}

function listen() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    change({ where: byId("where").value.trim() });
  });
  byId("where").addEventListener("search", () => {
    if (byId("where").value === "") change({ where: "" });
  });
  byId("sort").addEventListener("change", () => change({ sort: byId("sort").value }));
  byId("way").addEventListener("click", () => change({ way: asked.way === "up" ? "down" : "up" }));
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("to-label").addEventListener("click", label);
  byId("to-explore").addEventListener("click", explore);
  byId("to-help").addEventListener("click", help);
  byId("language").addEventListener("click", () => {
    otherLanguage();
    location.reload();
  });
  window.addEventListener("popstate", () => {
    readAddress();
    find();
  });
  document.addEventListener("keydown", key);
  byId("to-label").hidden = about.labelling === null;
  if (about.labelling?.listed) label();
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const isTyping = event.target.matches("input:not([type=range]), select, textarea");
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "l" && about.labelling !== null) return isLabelling ? explore() : label();
  if (event.key === "?") return help();
  if (isLabelling) return labelKey(event);
  if (event.target.matches("input[type=range]")) return;
  if (moveAmong(byId("cards"), event)) return;
  const acts = { "/": () => byId("where").focus(), n: () => turn(1), p: () => turn(-1), t: toThreshold };
  if (event.key in acts) {
    event.preventDefault();
    acts[event.key]();
  }
}

function toThreshold() {
  byId("threshold").open = true;
  byId("slider").focus();
}

function change(words) {
  Object.assign(asked, { page: 0 }, words);
  const given = Object.entries(asked).filter(([name, value]) => value && !(name === "way" && value === "down"));
  const address = new URLSearchParams(given).toString();
  history.pushState(null, "", address ? `#${address}` : location.pathname);
  find();
}

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const name of ["where", "reason", "sort", "way"]) asked[name] = words.get(name) ?? "";
  asked.way ||= "down";
  asked.page = Number(words.get("page") ?? 0) || 0;
}

function turn(step) {
  const page = asked.page + step;
  if (page >= 0 && page < pages()) change({ page });
}

function pages() {
  return Math.min(about.max_pages, Math.max(1, Math.ceil(matched() / about.page_rows)));
}

function matched() {
  if (found === null || asked.reason === "") return found?.matched ?? 0;
  return Object.fromEntries(found.reasons)[asked.reason] ?? 0;
}

async function find() {
  byId("where").value = asked.where;
  byId("sort").value = asked.sort;
  byId("way").textContent = asked.way === "up" ? "↑" : "↓";
  const began = performance.now();
  const counted = countedFor === asked.where ? "1" : "";
  let answer;
  try {
    answer = await ask("samples", { ...asked, page: String(asked.page), counted });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return told(error.message);
  }
  if (answer === null) return;
  told("");
  const isAnother = countedFor !== asked.where;
  if (answer.found !== null) {
    found = answer.found;
    countedFor = asked.where;
  }
  const time = Math.round(performance.now() - began);
  showReasons();
  showLine(time);
  replace(byId("cards"), answer.cards.map((sample) => card(sample, openSample, asked.sort)));
  if (isAnother) refreshThreshold();
}

function told(sentence) {
  byId("told").hidden = sentence === "";
  replace(byId("told"), foreign(sentence));
}

function showLine(time) {
  const kept = Object.fromEntries(found.reasons).kept ?? 0;
  byId("totals").textContent = say("totals", shortNumber(about.kept), shortNumber(about.samples));
  const words = say("matched", shortNumber(matched()), shortNumber(kept), percent(kept, found.matched));
  const plain = asked.reason === "" ? words : `${shortNumber(matched())} / ${shortNumber(found.matched)}`;
  replace(byId("matched"), plain, " ", make("small", { class: "soft" }, say("milliseconds", time)));
  byId("page").textContent = say("page", shortNumber(asked.page + 1), shortNumber(pages()));
  byId("previous").disabled = asked.page === 0;
  byId("next").disabled = asked.page + 1 >= pages();
  byId("language").textContent = say("language");
}

function showReasons() {
  const most = Math.max(1, ...found.reasons.map(([, number]) => number));
  const rows = [["", found.matched], ...ordered(found.reasons)];
  replace(byId("reasons"), rows.map(([reason, number]) => reasonLine(reason, number, most)));
}

/** Kept first, then rules in order of judgement, then what the web did, by number. */
function ordered(reasons) {
  const places = new Map([["kept", -1], ...about.rules.map((rule, place) => [rule.name, place])]);
  const place = (reason) => places.get(reason) ?? about.rules.length;
  return [...reasons].sort((a, b) => place(a[0]) - place(b[0]) || b[1] - a[1]);
}

function reasonLine(reason, number, most) {
  const rule = about.rules.find((one) => one.name === reason);
  const bar = make("span", { class: "reason-bar" });
  bar.style.width = `calc((100% - 1rem) * ${reason === "" ? 0 : number / most})`;
  const name = reason === "" ? say("all") : reason === "kept" ? say("kept") : foreign(reason);
  const button = make(
    "button",
    { type: "button", class: reason === "kept" ? "kept" : "dropped", onclick: () => change({ reason }) },
    make("span", { class: "reason-name" }, name),
    make("span", { class: "reason-number" }, shortNumber(number)),
    bar,
  );
  button.setAttribute("aria-pressed", String(asked.reason === reason));
  if (rule) button.title = `${rule.stage}: ${rule.expression}`;
  return make("li", {}, button);
}

function fillSort() {
  const sortable = about.columns.filter((one) => about.measures.includes(one.name) || one.name === "text");
  replace(
    byId("sort"),
    make("option", { value: "" }, say("unsorted")),
    sortable.map((one) => make("option", { value: one.name }, one.name)),
  );
}

function fillColumns() {
  const insert = (name) => {
    const box = byId("where");
    box.value = `${box.value}${box.value && !box.value.endsWith(" ") ? " " : ""}${name} `;
    box.focus();
  };
  replace(
    byId("columns"),
    about.columns.map((one) =>
      make(
        "li",
        {},
        make("button", { type: "button", onclick: () => insert(one.name) }, one.name),
        make("small", {}, ` ${one.kind.toLowerCase()}${one.unit ? `, ${one.unit}` : ""}`),
      ),
    ),
  );
}

function label() {
  isLabelling = true;
  show();
  startLabelling(about, { where: asked.where, reason: asked.reason });
}

function explore() {
  isLabelling = false;
  show();
}

function show() {
  byId("explore").hidden = isLabelling;
  byId("labelling").hidden = !isLabelling;
  byId("to-label").hidden = isLabelling;
  byId("to-explore").hidden = !isLabelling;
  byId("language").textContent = say("language");
}

function help() {
  const dialog = byId("help");
  const close = make("button", { type: "button", class: "close", onclick: () => dialog.close() }, "×");
  close.setAttribute("aria-label", say("close"));
  const rows = say("help-rows").map(([keys, act]) => make("tr", {}, make("th", {}, make("kbd", {}, keys)), make("td", {}, act)));
  replace(dialog, make("div", { class: "sample-head" }, make("b", {}, say("help-title")), close), make("table", {}, rows));
  dialog.showModal();
}

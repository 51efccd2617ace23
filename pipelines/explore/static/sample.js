// One sample in full: picture, texts, what it fell for, every measure, its group.

import { card, picture } from "./cards.js";
import { address, byId, foreign, make, replace, shortNumber } from "./elements.js";
import { Refused, ask } from "./questions.js";
import { say } from "./words.js";

const dialog = byId("sample");
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

export async function openSample(uid) {
  let told;
  try {
    told = await ask("sample", { uid });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    told = { refusal: error.message };
  }
  if (told === null) return;
  replace(dialog, told.refusal ? [head(foreign(told.refusal))] : everything(told));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function everything(told) {
  return [
    head(make("code", {}, told.uid)),
    make(
      "div",
      { class: "sample-body" },
      make("div", { class: "picture" }, picture(told, false)),
      make(
        "div",
        { class: "sample-told" },
        verdict(told),
        make("p", { class: "sample-text" }, told.text === null ? "–" : foreign(told.text)),
        make("p", { class: "addresses" }, told.url ? address(told.url) : null),
        told.page_url && told.page_url !== told.url ? make("p", { class: "addresses" }, address(told.page_url)) : null,
        part("failed", told.failed.map((rule) => rule_line(rule))),
        part("texts", told.texts.map((text) => text_line(text, told))),
      ),
    ),
    make(
      "div",
      { class: "columns-of-facts" },
      part("measured", table(told.measures)),
      part("facts", table(told.facts)),
    ),
    part("group", told.group.length ? make("div", { class: "strip" }, told.group.map((one) => card(one, openSample))) : []),
  ];
}

function head(title) {
  const close = make("button", { type: "button", class: "close", onclick: () => dialog.close() }, "×");
  close.title = say("close");
  close.setAttribute("aria-label", close.title);
  return make("div", { class: "sample-head" }, title, close);
}

function verdict(told) {
  const words = told.status === "kept" ? say("kept") : say("dropped", told.drop_reason ?? "?", told.dropped_at);
  return make(
    "p",
    { class: `verdict ${told.status}` },
    make("span", { class: "tag" }, foreign(words)),
    told.detail ? make("span", { class: "soft" }, " ", foreign(told.detail)) : null,
    told.shard ? make("span", { class: "soft" }, " ", foreign(told.shard)) : null,
  );
}

function rule_line(rule) {
  return make("p", {}, make("b", {}, rule.rule), " ", rule.expression ? make("code", {}, rule.expression) : null);
}

function text_line(text, told) {
  const is_caption = told.status === "kept" && text.text === told.text && text.kind === told.text_kind;
  const state = is_caption ? say("caption") : (text.drop_reason ?? say("stands"));
  const measures = text.measures.map((one) => `${one.name} ${shown(one.value)}`).join(" · ");
  return make(
    "p",
    { class: text.drop_reason ? "text fell" : "text" },
    make("span", { class: "kind" }, foreign(text.kind)),
    foreign(text.text),
    make("small", {}, `${state}${measures ? " · " : ""}${measures}`),
  );
}

function table(facts) {
  if (!facts.length) return [];
  return make(
    "table",
    {},
    facts.map((fact) =>
      make(
        "tr",
        {},
        make("th", {}, fact.name),
        make("td", {}, foreign(shown(fact.value))),
        make("td", { class: "unit" }, fact.unit ?? ""),
      ),
    ),
  );
}

function shown(value) {
  return typeof value === "number" ? shortNumber(value) : String(value);
}

function part(word, content) {
  const children = Array.isArray(content) ? content : [content];
  return children.length ? make("section", { class: "part" }, make("h3", {}, say(word)), children) : null;
}

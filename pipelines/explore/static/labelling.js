// Labelling: one picture, one text, three keys; the next unanswered task comes by itself.

import { picture } from "./cards.js";
import { byId, foreign, make, percent, replace, shortNumber } from "./elements.js";
import { Refused, ask, send } from "./questions.js";
import { say } from "./words.js";

const KEYS = { 1: 0, 2: 1, 3: 2 };

let labels = [];
let tasks = [];
let at = 0;

byId("task-back").addEventListener("click", () => go(at - 1));
byId("task-on").addEventListener("click", () => go(at + 1));
byId("agreement-box").addEventListener("toggle", showAgreement);

export async function startLabelling(about, filter) {
  labels = about.labelling.labels;
  try {
    tasks = (await ask("tasks", filter)) ?? tasks;
    told("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tasks = [];
    told(error.message);
  }
  at = Math.max(0, tasks.findIndex((task) => task.label === null));
  show();
  showAgreement();
}

/** Keys of this mode; the caller has left out those of boxes and dialogs. */
export function labelKey(event) {
  if (event.key in KEYS) answer(labels[KEYS[event.key]]);
  else if (event.key === "ArrowLeft") go(at - 1);
  else if (event.key === "ArrowRight") go(at + 1);
  else return;
  event.preventDefault();
}

function go(there) {
  if (there < 0 || there >= tasks.length) return;
  at = there;
  show();
}

/** The same answer again takes it back. What could not be written is not shown as answered. */
async function answer(label) {
  const task = tasks[at];
  if (task === undefined) return;
  const wanted = task.label === label ? null : label;
  try {
    await send("label", { uid: task.uid, text: task.text, text_kind: task.text_kind, label: wanted });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return told(error.message);
  }
  told("");
  task.label = wanted;
  if (wanted !== null) {
    const later = tasks.findIndex((one, place) => place > at && one.label === null);
    const any = tasks.findIndex((one) => one.label === null);
    at = later >= 0 ? later : any >= 0 ? any : at;
  }
  show();
  if (byId("agreement-box").open) showAgreement();
}

function show() {
  const task = tasks[at];
  const done = tasks.filter((one) => one.label !== null).length;
  byId("progress").max = Math.max(1, tasks.length);
  byId("progress").value = done;
  const words = [say("progress", shortNumber(done), shortNumber(tasks.length))];
  if (tasks.length && done === tasks.length) words.push(say("all-done"));
  byId("progress-text").textContent = words.join(" · ");
  byId("task-number").textContent = tasks.length ? say("task-number", at + 1, tasks.length) : "";
  byId("task-back").disabled = at === 0;
  byId("task-on").disabled = at + 1 >= tasks.length;
  byId("task-kind").textContent = task?.text_kind ?? "";
  replace(byId("task-text"), task ? foreign(task.text) : say("no-tasks"));
  replace(byId("task-picture"), task ? picture({ uid: task.uid, text: "", has_image: true }, false) : null);
  replace(byId("answers"), task ? labels.map((label, place) => button(label, place, task)) : null);
  if (tasks[at + 1]) new Image().src = `image/${tasks[at + 1].uid}`;
}

function button(label, place, task) {
  const made = make(
    "button",
    { type: "button", class: `answer ${label}`, onclick: () => answer(label) },
    make("kbd", {}, String(place + 1)),
    " ",
    say(label),
  );
  made.setAttribute("aria-pressed", String(task.label === label));
  return made;
}

async function showAgreement() {
  if (!byId("agreement-box").open) return;
  let told_;
  try {
    told_ = await ask("agreement");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return told(error.message);
  }
  if (told_ === null) return;
  replace(byId("agreement"), counts(told_.annotators), told_.agreements.length ? pairs(told_.agreements) : make("p", { class: "soft" }, say("one-annotator")));
}

function counts(annotators) {
  const titles = [say("annotator"), say("answers"), ...labels.map((label) => say(label))];
  const rows = annotators.map((one) => [foreign(one.annotator), one.answers, ...labels.map((label) => one[label])]);
  return table(titles, rows);
}

function pairs(agreements) {
  const titles = [say("pair"), say("common"), say("equal"), say("kappa")];
  const rows = agreements.map((one) => [
    foreign(one.annotators.join(" · ")),
    one.items,
    one.share === null ? "–" : percent(one.share, 1),
    one.kappa === null ? "–" : one.kappa.toFixed(2),
  ]);
  return [table(titles, rows), make("p", { class: "soft note" }, say("kappa-note"))];
}

function table(titles, rows) {
  return make(
    "table",
    {},
    make("tr", {}, titles.map((title) => make("th", {}, title))),
    rows.map((row) => make("tr", {}, row.map((cell) => make("td", {}, typeof cell === "number" ? shortNumber(cell) : cell)))),
  );
}

function told(sentence) {
  byId("label-told").hidden = sentence === "";
  replace(byId("label-told"), foreign(sentence));
}

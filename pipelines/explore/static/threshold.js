// A threshold that moves: the spread under the slider, the share it keeps at once, and which samples change sides.

import { card } from "./cards.js";
import { byId, draw, make, percent, replace, shortNumber } from "./elements.js";
import { Refused, ask, rested } from "./questions.js";
import { say } from "./words.js";

const FATES = ["kept", "fell", "other"];
const HEIGHT = 100;

let about = null;
let filter = () => "";
let open = () => {};
let told = () => {};
let cut = null; // {measure, operator, value, rule}: as it is in the recipe, or as it was chosen
let value = 0;
let spread = null; // what the slider stands over; null while it is asked for
let askedFor = null;
let totals = null; // samples and kept of the filter, known from the last answer

export function startThreshold(aboutRun, filterNow, openSample, tell) {
  [about, filter, open, told] = [aboutRun, filterNow, openSample, tell];
  if (!about.measures.length) return;
  stand(false);
  byId("threshold").hidden = false;
  fillCuts();
  replace(byId("operator"), about.operators.map((one) => make("option", {}, one)));
  byId("cut").addEventListener("change", choose);
  byId("operator").addEventListener("change", () => {
    cut.operator = byId("operator").value;
    refreshThreshold();
  });
  byId("value").addEventListener("change", () => moveTo(Number(byId("value").value)));
  byId("slider").addEventListener("input", () => moveTo(spread.stops[Number(byId("slider").value)]));
  byId("reset").addEventListener("click", () => choose());
  byId("threshold").addEventListener("toggle", () => refreshThreshold());
  choose();
}

function fillCuts() {
  const rules = about.thresholds.map((at, place) =>
    make("option", { value: `rule ${place}` }, `${at.rule}: ${at.measure} ${at.operator} ${at.value}`),
  );
  const measures = about.measures.map((name) => make("option", { value: `measure ${name}` }, name));
  const groups = [];
  if (rules.length) groups.push(make("optgroup", { label: say("rules") }, rules));
  groups.push(make("optgroup", { label: say("measures") }, measures));
  replace(byId("cut"), groups);
  const last = about.thresholds.findIndex((at) => at.measure === "clip_score");
  if (last >= 0) byId("cut").value = `rule ${last}`;
}

function choose() {
  const [kind, name] = byId("cut").value.split(" ");
  cut = kind === "rule" ? { ...about.thresholds[Number(name)] } : { measure: name, operator: ">=", value: null, rule: null };
  value = cut.value;
  byId("operator").value = cut.operator;
  byId("operator").disabled = cut.rule !== null;
  refreshThreshold();
}

function stand(isReady) {
  byId("slider").disabled = !isReady;
  byId("value").disabled = !isReady;
}

/** Ask for the spread anew: another measure, another filter. */
export async function refreshThreshold() {
  if (cut === null || !byId("threshold").open) return;
  const words = { where: filter(), ...cut, value: String(cut.value ?? 0) };
  if (JSON.stringify(words) === askedFor) return spread === null ? undefined : moveTo(value);
  askedFor = JSON.stringify(words);
  spread = null;
  stand(false);
  let answer;
  try {
    answer = await ask("spread", words);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    askedFor = null;
    replace(byId("bars"));
    replace(byId("outcome"), error.message);
    for (const id of ["falling", "returning", "falling-head", "returning-head"]) replace(byId(id));
    return;
  }
  if (answer === null) return;
  spread = answer;
  stand(true);
  if (cut.value === null) {
    const keepsMost = cut.operator.startsWith(">") ? 0 : spread.stops.length - 1;
    cut.value = spread.stops[keepsMost];
    value = cut.value;
  }
  byId("slider").max = spread.stops.length - 1;
  byId("least").textContent = shortNumber(spread.stops[0]);
  byId("greatest").textContent = shortNumber(spread.stops[spread.stops.length - 1]);
  byId("key").replaceChildren(...FATES.map(keyOf).filter((one) => one !== null));
  drawBars();
  totals = null;
  moveTo(value);
}

function keyOf(fate) {
  const number = spread.bars[fate].reduce((sum, one) => sum + one, 0);
  if (!number) return null;
  return make("span", {}, make("i", { class: fate }), ` ${say(`bar-${fate}`)} ${shortNumber(number)}`);
}

function drawBars() {
  const number = spread.stops.length - 1;
  const sums = spread.bars.kept.map((_, place) => FATES.reduce((sum, fate) => sum + spread.bars[fate][place], 0));
  const tallest = Math.max(1, ...sums);
  const bars = byId("bars");
  bars.setAttribute("viewBox", `0 0 ${number} ${HEIGHT}`);
  bars.setAttribute("aria-label", cut.measure);
  const parts = [draw("rect", { id: "lost", class: "lost", y: 0, height: HEIGHT })];
  for (let place = 0; place < number; place += 1) {
    let top = HEIGHT;
    for (const fate of FATES) {
      const count = spread.bars[fate][place];
      if (!count) continue;
      const height = Math.max(0.8, (HEIGHT * count) / tallest);
      top -= height;
      parts.push(draw("rect", { class: fate, x: place, y: top, width: 1, height }));
    }
  }
  parts.push(draw("line", { id: "mark", y1: 0, y2: HEIGHT }));
  replace(bars, parts);
}

function moveTo(there) {
  if (spread === null || !Number.isFinite(there)) return;
  value = there;
  const place = nearest(there);
  byId("slider").value = place;
  byId("slider").setAttribute("aria-valuetext", `${cut.measure} ${cut.operator} ${value}`);
  if (document.activeElement !== byId("value")) byId("value").value = value;
  const losesAbove = cut.operator.startsWith("<");
  byId("lost").setAttribute("x", losesAbove ? place : 0);
  byId("lost").setAttribute("width", losesAbove ? spread.stops.length - 1 - place : place);
  for (const end of ["x1", "x2"]) byId("mark").setAttribute(end, place);
  if (totals !== null && spread.stops[place] === value) showShare(spread.keep_at[place]);
  showExactly();
  askForSides();
}

function nearest(there) {
  let best = 0;
  spread.stops.forEach((stop, place) => {
    if (Math.abs(stop - there) < Math.abs(spread.stops[best] - there)) best = place;
  });
  return best;
}

/** At once, from what the page knows of every place of the slider. */
function showShare(keeps) {
  const [strong, rest] = say("outcome", shortNumber(keeps), shortNumber(totals.samples), percent(keeps, totals.samples));
  const now = say("now", shortNumber(totals.kept), percent(totals.kept, totals.samples));
  replace(byId("outcome"), make("strong", {}, strong), rest, make("span", { class: "soft" }, now));
}

const askForSides = rested(60, async () => {
  let sides;
  try {
    sides = await ask("move", { where: filter(), measure: cut.measure, operator: cut.operator, rule: cut.rule, value: String(value) });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return told(error.message);
  }
  if (sides === null) return;
  totals = { samples: sides.samples, kept: sides.kept };
  showShare(sides.keeps);
  showSide("falling", sides.falls, sides.falling);
  showSide("returning", sides.back, sides.returning);
  if (cut.rule === null) replace(byId("returning"), make("p", { class: "soft note" }, say("returning-not")));
});

function showSide(side, number, samples) {
  byId(`${side}-head`).textContent = say(side, shortNumber(number));
  replace(byId(side), samples.map((sample) => card(sample, open, cut.measure)));
}

function showExactly() {
  const condition = `${cut.measure} ${cut.operator} ${value}`;
  const words = cut.rule
    ? [say("exactly-rule"), make("code", {}, `curate release RUN --set rules.${cut.rule}='${condition}' --out OTHER`)]
    : [say("exactly-measure"), make("code", {}, `my_rule: ${condition}`)];
  replace(byId("exactly"), words[0], " ", words[1]);
}

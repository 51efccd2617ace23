// Samples among others: a picture, its text and one value.

import { foreign, make, shortNumber, visible } from "./elements.js";
import { say } from "./words.js";

/** A card that opens the sample. `sorted` names the column whose value is shown. */
export function card(sample, open, sorted = null) {
  const value = sorted && typeof sample.value !== "string" ? `${sorted} ${shortNumber(sample.value)}` : null;
  return make(
    "button",
    { type: "button", class: `card ${sample.status}`, onclick: () => open(sample.uid), "data-uid": sample.uid },
    picture(sample),
    make("span", { class: "card-text" }, sample.text === null ? "–" : foreign(sample.text)),
    make(
      "span",
      { class: "card-foot" },
      make("span", { class: "tag" }, sample.status === "kept" ? say("kept") : foreign(sample.drop_reason ?? "?")),
      value === null ? null : make("span", { class: "value" }, value),
    ),
  );
}

/** The stored copy, or words where there is none. */
export function picture(sample, isLazy = true) {
  if (!sample.has_image) return make("span", { class: "no-image" }, say("no-image"));
  const image = make("img", {
    src: `image/${sample.uid}`,
    alt: visible(sample.text ?? "").slice(0, 200),
    loading: isLazy ? "lazy" : "eager",
    decoding: "async",
  });
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "no-image" }, say("no-image"))));
  return image;
}

/** Arrow keys move the focus from card to card, by rows too. */
export function moveAmong(cards, event) {
  const all = [...cards.children];
  const here = all.indexOf(document.activeElement);
  if (here < 0) return false;
  const top = all[here].offsetTop;
  const across = Math.max(1, all.filter((one) => one.offsetTop === all[0].offsetTop).length);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
  const there = all[here + (steps[event.key] ?? 0)];
  if (!(event.key in steps) || there === undefined) return false;
  there.focus({ preventScroll: top === there.offsetTop });
  event.preventDefault();
  return true;
}

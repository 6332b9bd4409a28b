"use strict";
const { folder, run, seed, quantile } = document.querySelector("#cards").dataset;
const cards = [...document.querySelectorAll("article")];
const place = `semjax audit/${folder}/${run}/${seed}`;
const nameOf = (card) => `${card.dataset.image}/${card.dataset.label}`;
let current = 0;
let answers = {};
let keeps = true;
try {
  answers = JSON.parse(localStorage.getItem(place)) || {};
} catch {
  keeps = false;
}

// Wilson's score interval, as semjax.audit.wilson.
function wilson(accepted, judged) {
  if (!judged) return [0, 1];
  const z2 = quantile ** 2 / judged;
  const share = accepted / judged;
  const half = Math.sqrt(z2 * (share * (1 - share) + z2 / 4));
  const [low, high] = [-1, 1].map((side) => (share + z2 / 2 + side * half) / (1 + z2));
  return [accepted ? low : 0, accepted < judged ? high : 1];
}

function show() {
  const given = cards.map((card) => answers[nameOf(card)]).filter(Boolean);
  const accepted = given.filter((verdict) => verdict === "accept").length;
  const [low, high] = wilson(accepted, given.length).map((end) => end.toFixed(2));
  document.querySelector("progress").value = given.length;
  let text = `${given.length} of ${cards.length} judged`;
  if (given.length) {
    text += `, ${accepted} accepted: precision ${(accepted / given.length).toFixed(2)}`;
    text += ` (95 % interval ${low} to ${high})`;
  }
  if (!keeps) text += ". This browser keeps no answers: save them before you close the page";
  document.querySelector("#count").textContent = text;
  cards.forEach((card, i) => {
    card.classList.toggle("current", i === current);
    for (const button of card.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === answers[nameOf(card)]));
    }
  });
}

function go(to) {
  current = Math.min(Math.max(to, 0), cards.length - 1);
  show();
  cards[current].scrollIntoView({ block: "nearest", behavior: "smooth" });
}

// Sets the current card's verdict, or takes it back if it is the same; tells which of the two.
function judge(verdict) {
  const name = nameOf(cards[current]);
  const isNew = answers[name] !== verdict;
  if (isNew) answers[name] = verdict;
  else delete answers[name];
  try {
    localStorage.setItem(place, JSON.stringify(answers));
  } catch {
    keeps = false;
  }
  show();
  return isNew;
}

function save() {
  const quote = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const rows = cards.map((card) => {
    const { image, label } = card.dataset;
    return [image, label, answers[nameOf(card)] || "", run, seed];
  });
  const lines = [["image", "label", "verdict", "run", "seed"], ...rows];
  const text = lines.map((cells) => cells.map(quote).join(",") + "\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

cards.forEach((card, i) => {
  card.addEventListener("click", (event) => {
    current = i;
    const button = event.target.closest("button");
    if (button) judge(button.value);
    else show();
  });
});
document.querySelector("#save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  // Ctrl+R reloads the page and must not reject anything.
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const verdict = { a: "accept", r: "reject" }[event.key.toLowerCase()];
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (verdict) {
    if (judge(verdict)) go(current + 1);
  } else if (step) {
    go(current + step);
  } else {
    return;
  }
  event.preventDefault();
});
window.addEventListener("beforeunload", (event) => {
  if (!keeps && Object.keys(answers).length) event.preventDefault();
});
// Goes on where the last visit ended.
const waiting = cards.findIndex((card) => !(nameOf(card) in answers));
if (waiting > 0) go(waiting);
else show();

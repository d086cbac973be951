// Cards: an image with what is known about it. Text goes in as text, never as html.
const { columns, sample, labels } = page.examples;
const never = "–";
const facts = [
  ...page.statistics.map(({ name, label }, s) => ({ name, label, of: (i) => columns.statistics[i][s] })),
  { name: "first right", label: "first epoch right", of: (i) => (neverRight(i) ? null : columns.first[i]) },
  { name: "confidence", label: "confidence", of: (i) => columns.confidence[i] },
  { name: "variability", label: "variability", of: (i) => columns.variability[i] },
  { name: "forgotten", label: "forgotten (times)", of: (i) => columns.forgotten[i] },
];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function inWords(i) {
  if (neverRight(i)) return "wrong in all networks and epochs";
  const last = columns.learned[i] === null ? "still wrong in at least one at the end" : `right in all from epoch ${columns.learned[i]}`;
  return `wrong in ${percent(columns.time[i])} of networks and epochs, first right in epoch ${columns.first[i].toFixed(1)} on average, ${last}`;
}

// `first` counts a network that is never right as one epoch more: the mean of some can be beyond the last
function neverRight(i) {
  return columns.correctness[i] === 0;
}

function percent(part) {
  return `${(100 * part).toFixed(0)} %`;
}

function picture(i) {
  const alt = `${labels[columns.label[i]].name}, ${inWords(i)}`;
  return element("img", { src: columns.image[i], alt, decoding: "async", width: 64, height: 64 });
}

// who was right when: [network][epoch]
function right(i) {
  const bytes = atob(columns.right[i]);
  const at = (bit) => (bytes.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1;
  return page.networks.map((_, k) => Array.from({ length: page.epochs }, (_, t) => at(k * page.epochs + t)));
}

function strip(i) {
  const rows = right(i);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const boxes = rows.flatMap((row, k) => row.map((was, t) => (was ? `M${t} ${k + 0.06}h1v0.88h-1z` : "")));
  path.setAttribute("d", boxes.join(""));
  path.setAttribute("fill", "currentColor");
  svg.setAttribute("viewBox", `0 0 ${page.epochs} ${rows.length}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "strip");
  svg.setAttribute("style", `height: ${Math.min(7 * rows.length, 70)}px`);
  svg.setAttribute("role", "img");
  const counts = rows.map((row) => row.reduce((sum, was) => sum + was, 0));
  svg.setAttribute("aria-label", `epochs right, of ${page.epochs}, by network: ${counts.join(", ")}`);
  svg.append(path);
  return svg;
}

// labels that networks give in the last epoch, each with how many do, the most common first
function votes(i) {
  const counts = new Map();
  for (const label of columns.predicted[i]) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function majority(i) {
  return votes(i)[0];
}

// "dog ×4, cat"
function predicted(i) {
  return votes(i).map(([label, n]) => labels[label].name + (n > 1 ? ` ×${n}` : "")).join(", ");
}

function number(value) {
  return Number.isInteger(value) ? String(value) : Number(value.toPrecision(3)).toString();
}

// `brief` leaves out what a tip has no room for; `by` names the fact that the cards are sorted by.
function card(i, { brief = false, by = "" } = {}) {
  const split = columns.place[i] === null ? "test" : "train";
  const made = element("article", { className: "card" }, picture(i));
  made.append(element("p", { className: "class" }, labels[columns.label[i]].name));
  if (columns.predicted[i].some((label) => label !== columns.label[i])) {
    const text = `In the end networks say ${predicted(i)}.`;
    made.append(element("p", { className: "mistake" }, text));
  }
  const place = split === "train" ? `, place ${columns.place[i].toLocaleString("en")} of ${page.examples.train.toLocaleString("en")}` : "";
  made.append(element("p", {}, inWords(i)[0].toUpperCase() + inWords(i).slice(1) + place));
  made.append(strip(i));
  made.append(element("p", { className: "soft" }, `by network: ${columns.networks[i].map((epoch) => epoch ?? never).join(", ")}`));
  if (!brief) {
    const list = element("dl");
    for (const fact of facts.filter(({ of }) => of(i) !== null)) {
      const className = fact.name === by ? "sorted" : "";
      list.append(element("dt", { className }, fact.name), element("dd", { className }, number(fact.of(i))));
    }
    made.append(list, element("p", { className: "soft" }, `${split} image ${columns.id[i]}`));
  }
  return made;
}

function show(i) {
  document.getElementById("judge").hidden = true;
  document.getElementById("detail-card").replaceChildren(card(i));
  if (!document.getElementById("detail").open) document.getElementById("detail").showModal();
}
document.getElementById("detail-close").addEventListener("click", () => document.getElementById("detail").close());

const all = sample === page.examples.train;
const sampled = `${all ? "All" : "A sample of"} ${sample.toLocaleString("en")}${all ? "" : ` of the ${page.examples.train.toLocaleString("en")}`} training images${all ? "" : ", evenly spaced in the order of learning within each class"}.`;
for (const place of document.querySelectorAll(".sampled")) place.textContent = sampled;

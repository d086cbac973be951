// The rows of the overview, the agreed mistakes, and the gallery with its filters.
const PER_ROW = 14;
const PER_PAGE = 48;
const gallery = Array.from({ length: sample }, (_, i) => i); // in the order of learning
const has = (i, index) => labels[columns.label[i]].classes.includes(index);

for (const each of page.overview) {
  const own = gallery.filter((i) => has(i, each.index));
  const n = Math.min(PER_ROW, own.length);
  const chosen = Array.from({ length: n }, (_, j) => own[n > 1 ? Math.round((j * (own.length - 1)) / (n - 1)) : 0]);
  const list = element("ul");
  for (const i of chosen) {
    const button = element("button", { type: "button" }, picture(i), percent(columns.time[i]));
    button.addEventListener("click", () => show(i));
    list.append(element("li", {}, button));
  }
  const half = `median learning time ${percent(each.median)}`;
  const rest = each.never > 0 ? `, ${(100 * each.never).toFixed(each.never < 0.1 ? 1 : 0)} % still wrong in at least one network at the end` : "";
  const about = element("small", {}, ` ${each.n.toLocaleString("en")} images, ${half}${rest}`);
  document.getElementById("overview-rows").append(element("div", { className: "row" }, element("h3", {}, each.name, about), list));
}

for (const [split, { at, predicted, epoch }] of Object.entries(page.examples.mistakes)) {
  const items = at.map((i, n) => {
    const until = epoch[n] < page.epochs ? `, until epoch ${epoch[n]}` : "";
    const label = element("span", {}, `labelled ${labels[columns.label[i]].name}`);
    const other = element("span", { className: "said" }, `all say ${labels[predicted[n]].name}${until}`);
    const button = element("button", { type: "button" }, picture(i), label, other);
    button.addEventListener("click", () => show(i));
    return element("li", {}, button);
  });
  document.getElementById(`mistakes-${split}`).append(...(items.length ? items : [element("li", {}, "None.")]));
}

const control = (name) => document.getElementById(`gallery-${name}`);
control("class").append(new Option("all", ""), ...page.classes.map((name, label) => new Option(name, label)));
const sorts = [{ name: "place", label: "order of learning", of: (i) => columns.place[i] }, ...facts];
control("sort").append(...sorts.map(({ label }, s) => new Option(label, s)));

const learnedBy = {
  any: () => true,
  all: (i) => columns.learned[i] !== null,
  none: (i) => columns.networks[i].every((epoch) => epoch === null),
  some: (i) => columns.learned[i] === null && !learnedBy.none(i),
};

let found = gallery;
let begin = 0;

function choose() {
  const label = control("class").value;
  const name = control("name").value.toLowerCase();
  const learned = learnedBy[control("learned").value];
  found = gallery.filter(
    (i) => (label === "" || has(i, Number(label))) && learned(i) && columns.id[i].toLowerCase().includes(name),
  );
  const { of } = sorts[control("sort").value];
  const sign = control("reverse").checked ? -1 : 1;
  // images without the number come last either way
  found.sort((a, b) => (of(a) === null) - (of(b) === null) || sign * (of(a) - of(b)));
  turn(0);
}

function turn(to) {
  const last = Math.max(0, Math.ceil(found.length / PER_PAGE) - 1) * PER_PAGE;
  begin = Math.min(Math.max(to, 0), last);
  const shown = found.slice(begin, begin + PER_PAGE);
  const by = sorts[control("sort").value].name;
  control("cards").replaceChildren(...shown.map((i) => element("li", {}, card(i, { by }))));
  control("status").textContent = found.length
    ? `${(begin + 1).toLocaleString("en")} to ${(begin + shown.length).toLocaleString("en")} of ${found.length.toLocaleString("en")}`
    : "No image is like that";
  control("first").disabled = control("previous").disabled = begin === 0;
  control("next").disabled = control("last").disabled = begin === last;
}

for (const name of ["class", "learned", "sort", "reverse"]) control(name).addEventListener("change", choose);
control("name").addEventListener("input", choose);
control("first").addEventListener("click", () => turn(0));
control("previous").addEventListener("click", () => turn(begin - PER_PAGE));
control("next").addEventListener("click", () => turn(begin + PER_PAGE));
control("last").addEventListener("click", () => turn(Infinity));
choose();

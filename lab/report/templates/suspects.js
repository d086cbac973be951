// Labels to look at: judged one after the other in the dialog, and saved as the table that `labels=` reads.
const FIRST = 48; // shown at once
const { suspects } = page.examples;
const judged = new Map(); // example to the label it gets; "" leaves it out
const byId = (name) => document.getElementById(name);
let looking = -1; // which suspect the dialog shows

const items = suspects.map((i, n) => {
  const [label, networks] = majority(i);
  const said = networks === page.networks.length ? "all" : `${networks} of ${page.networks.length}`;
  const button = element(
    "button",
    { type: "button" },
    picture(i),
    element("span", {}, `${n + 1}. labelled ${labels[columns.label[i]].name}`),
    element("span", { className: "said" }, `${said} say ${labels[label].name}`),
    element("span", { className: "said" }, `wrong in ${percent(columns.time[i])}`),
    element("span", { className: "mark" }),
  );
  button.addEventListener("click", () => look(n));
  return element("li", { hidden: n >= FIRST }, button);
});
byId("suspects").append(...items);
byId("suspects-more").hidden = items.length <= FIRST;
byId("suspects-more").textContent = `Show all ${items.length}`;
byId("suspects-more").addEventListener("click", () => {
  for (const item of items) item.hidden = false;
  byId("suspects-more").hidden = true;
});

// the frame of MLflow's viewer lets nothing be saved
byId("suspects-save").hidden = byId("suspects-copy").open = window !== window.top;

byId("judge-class").append(new Option("another class", "", true), ...page.classes.map((name) => new Option(name, name)));
byId("judge-other").hidden = labels.some(({ classes }) => classes.length !== 1); // sets of classes

function look(n) {
  looking = n;
  show(suspects[n]);
  byId("judge").hidden = false;
  byId("judge-class").value = "";
  byId("judge-next").disabled = n + 1 === suspects.length;
}

function judge(label, said) {
  judged.set(suspects[looking], label);
  items[looking].querySelector(".mark").textContent = said;
  byId("suspects-save").disabled = byId("suspects-copy").hidden = false;
  byId("suspects-status").textContent = `${judged.size} judged.`;
  byId("suspects-table").value = table();
  if (looking + 1 < suspects.length) look(looking + 1);
  else byId("detail").close();
}

function table() {
  const field = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return ["id,label", ...[...judged].map(([i, label]) => `${field(columns.id[i])},${field(label)}`), ""].join("\n");
}

byId("judge-right").addEventListener("click", () => judge(labels[columns.label[suspects[looking]]].name, "right"));
byId("judge-wrong").addEventListener("click", () => judge("", "wrong"));
byId("judge-class").addEventListener("change", ({ target }) => target.value && judge(target.value, `is ${target.value}`));
byId("judge-next").addEventListener("click", () => look(looking + 1));
byId("suspects-save").addEventListener("click", () => {
  const href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  element("a", { href, download: "fixed.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
});

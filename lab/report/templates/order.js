// A statistic, which the reader chooses, against the learning time.
const chooser = document.getElementById("order-statistic");
const byRank = document.getElementById("order-ranks");
page.statistics.forEach(({ label, train }, s) => train && chooser.append(new Option(label, s)));

// equal values get the mean of their ranks: rows come in the order of learning, which would break ties by it
function toRanks(rows) {
  const sorted = [...rows].sort((a, b) => a.x - b.x);
  for (let first = 0, last = 0; first < sorted.length; first = last) {
    while (last < sorted.length && sorted[last].x === sorted[first].x) last += 1;
    const rank = (first + 1 + last) / 2;
    for (const row of sorted.slice(first, last)) row.rank = rank;
  }
  for (const row of rows) row.x = row.rank;
}

function drawOrder() {
  const { name, label } = page.statistics[chooser.value];
  const rows = gallery
    .map((i) => {
      const shift = ((((i + 1) * 0.618034) % 1) - 0.5) / (page.epochs * page.networks.length); // even, and the same each time
      const y = Math.min(1, Math.max(0, columns.time[i] + 0.7 * shift));
      return { i, x: columns.statistics[i][chooser.value], y, never: columns.learned[i] === null };
    })
    .filter(({ x }) => x !== null);
  if (byRank.checked) toRanks(rows);
  const spec = structuredClone(page.points.order);
  spec.encoding.x.title = byRank.checked ? `rank by ${label}` : label;
  drawPoints("points-order", spec, rows, `A point per image: ${name} against the learning time.`, "order-help");
}
for (const control of [chooser, byRank]) control.addEventListener("change", drawOrder);
drawOrder();

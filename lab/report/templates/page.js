"use strict";
const page = JSON.parse(document.getElementById("data").textContent);

// Draws a specification into the element of that id. `tooltip` is Vega's handler, the usual one where none is given.
async function draw(id, spec, tooltip) {
  const options = { actions: false, renderer: "svg", ...(tooltip ? { tooltip } : {}) };
  return (await vegaEmbed(document.getElementById(id), spec, options)).view;
}

for (const [name, spec] of Object.entries(page.plots)) draw(`plot-${name}`, spec);

// A table that is wider than its place says so.
const widths = new ResizeObserver((changes) => {
  for (const { target } of changes) target.closest("figure").classList.toggle("scrolls", target.scrollWidth > target.clientWidth);
});
for (const box of document.querySelectorAll(".wide")) widths.observe(box);

// MLflow's viewer does not let a page go to its own anchors.
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const heading = document.querySelector(link.getAttribute("href"));
    heading.tabIndex = -1;
    heading.focus();
    heading.scrollIntoView();
  });
}

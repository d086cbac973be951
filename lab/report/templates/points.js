// Plots with a point per image: the image is shown beside the pointer, or reached by the arrow keys.
const tip = document.getElementById("tip");

function showTip(i, x, y) {
  tip.replaceChildren(card(i, { brief: true }));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - 16 - width : x + 16;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 16, innerHeight - height - 4))}px`;
}

// rows: {i, x, y, ...}, i being the image's number. Draws them into the element of that id.
async function drawPoints(id, spec, rows, description, help) {
  const place = document.getElementById(id);
  const handler = (_, event, item, i) => (i === null ? (tip.hidden = true) : showTip(Number(i), event.clientX, event.clientY));
  const view = await draw(id, { ...spec, description, datasets: { examples: rows } }, handler);
  view.addEventListener("click", (event, item) => item?.datum?.i !== undefined && show(item.datum.i));

  const ring = element("div", { className: "ring", hidden: true });
  place.append(ring);
  place.tabIndex = 0;
  place.setAttribute("role", "application");
  place.setAttribute("aria-label", description);
  place.setAttribute("aria-describedby", help);
  const ordered = [...rows].sort((a, b) => a.x - b.x || a.y - b.y);
  let at = -1;
  const hide = () => { ring.hidden = tip.hidden = true; };
  place.onblur = hide;
  place.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 50, PageUp: -50, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined && ordered.length) {
      event.preventDefault();
      at = Math.min(Math.max(at + step, 0), ordered.length - 1);
      const { i, x, y } = ordered[at];
      const left = view.padding().left + view.origin()[0] + view.scale("x")(x);
      const top = view.padding().top + view.origin()[1] + view.scale("y")(y);
      ring.hidden = false;
      ring.style.left = `${left}px`;
      ring.style.top = `${top}px`;
      const { x: pageX, y: pageY } = place.getBoundingClientRect();
      showTip(i, pageX + left, pageY + top);
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault(); // it would go on to press the button that gets the focus
      show(ordered[at].i);
    } else if (event.key === "Escape") {
      hide();
    }
  };
}

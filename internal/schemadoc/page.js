"use strict";
// Shows the table that the address names, or all. Without the script all are shown.
(() => {
  const sections = [...document.querySelectorAll("section.table")];
  const links = [...document.querySelectorAll("[data-table], nav .all")];
  const lines = [...document.querySelectorAll(".relation")];
  const name = () => {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return "";
    }
  };
  const show = (move) => {
    const picked = sections.find((s) => s.id === name());
    document.body.classList.toggle("picked", Boolean(picked));
    for (const s of sections) s.classList.toggle("current", s === picked);
    for (const l of links) {
      const current = picked ? l.dataset.table === picked.id : l.classList.contains("all");
      if (current) l.setAttribute("aria-current", "true");
      else l.removeAttribute("aria-current");
    }
    for (const l of lines) l.classList.toggle("current", Boolean(picked) && [l.dataset.from, l.dataset.to].includes(picked.id));
    if (picked) {
      const card = document.querySelector(".entity[aria-current]");
      const frame = card.closest(".frame");
      const [at, box] = [card.getBoundingClientRect(), frame.getBoundingClientRect()];
      frame.scrollLeft += at.left - box.left - Math.max(12, (box.width - at.width) / 2);
      picked.scrollIntoView();
      if (move) picked.querySelector("h2").focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", () => show(true));
  addEventListener("keydown", (e) => {
    if (e.key === "Escape" && document.body.classList.contains("picked")) location.hash = document.querySelector("nav .all").hash;
  });
  addEventListener("beforeprint", () => {
    for (const d of document.querySelectorAll("details")) d.open = true;
  });
  show(false);
})();

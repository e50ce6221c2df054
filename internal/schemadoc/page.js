"use strict";
// Without this script the page is a document: every table is shown, and the graph in its full size.
(() => {
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const sections = all("section.table");
  const entities = all(".entity");
  const lines = all(".relation");
  const [frame, graph, input] = [".frame", ".frame .graph", "nav input"].map(one);
  const byTable = (list, name) => list.find((e) => e.dataset.table === name);
  const related = (name) => lines.filter((l) => [l.dataset.from, l.dataset.to].includes(name));

  // The view of the graph: what is in the middle of the frame, and how large.
  const whole = { w: graph.viewBox.baseVal.width, h: graph.viewBox.baseVal.height };
  const view = { x: whole.w / 2, y: whole.h / 2, scale: 1 };
  const fitting = () => Math.min(1, frame.clientWidth / whole.w, frame.clientHeight / whole.h);
  let fitted = true;

  const draw = () => {
    const least = fitting();
    if (least <= 0) return; // nothing is shown of it
    view.scale = fitted ? least : Math.min(2, Math.max(least, view.scale));
    const [w, h] = [frame.clientWidth / view.scale, frame.clientHeight / view.scale];
    const within = (at, size, length) =>
      size > length ? length / 2 : Math.min(length - size / 2, Math.max(size / 2, at));
    view.x = within(view.x, w, whole.w);
    view.y = within(view.y, h, whole.h);
    graph.setAttribute("viewBox", [view.x - w / 2, view.y - h / 2, w, h].join(" "));
    graph.classList.toggle("far", view.scale < 0.55);
    frame.classList.toggle("zoomed", view.scale > least);
    one(".zoom output").textContent = Math.round(view.scale * 100) + " %";
    one("[data-zoom=out]").disabled = one("[data-zoom=fit]").disabled = view.scale <= least;
    one("[data-zoom=in]").disabled = view.scale >= 2;
  };
  const fit = () => {
    fitted = true;
    draw();
  };
  // zoom keeps the place at (x, y), in pixels from the middle of the frame, where it is.
  const zoom = (factor, x = 0, y = 0) => {
    const scale = Math.min(2, Math.max(fitting(), view.scale * factor));
    view.x += x / view.scale - x / scale;
    view.y += y / view.scale - y / scale;
    view.scale = scale;
    fitted = scale <= fitting();
    draw();
  };
  const pan = (x, y) => {
    view.x -= x / view.scale;
    view.y -= y / view.scale;
    draw();
  };
  // look shows these tables, as large as the frame allows but no smaller than they can be read, if there is one.
  const look = (cards) => {
    const boxes = cards.map((c) => c.querySelector(".card").getBBox());
    const [left, top] = [Math.min(...boxes.map((b) => b.x)), Math.min(...boxes.map((b) => b.y))];
    const right = Math.max(...boxes.map((b) => b.x + b.width));
    const bottom = Math.max(...boxes.map((b) => b.y + b.height));
    const [w, h] = [right - left + 48, bottom - top + 48];
    const fills = Math.min(1, frame.clientWidth / w, frame.clientHeight / h);
    view.scale = cards.length > 1 ? fills : Math.max(fills, Math.min(0.6, frame.clientWidth / w));
    view.x = (left + right) / 2;
    view.y = h * view.scale > frame.clientHeight ? top - 24 + frame.clientHeight / view.scale / 2 : (top + bottom) / 2;
    fitted = view.scale <= fitting();
    draw();
  };

  // The table that the address names is picked, or none.
  const show = (move) => {
    let name = "";
    try {
      name = decodeURIComponent(location.hash.slice(1));
    } catch {
      // No table has such a name.
    }
    const picked = sections.find((s) => s.id === name);
    document.body.classList.toggle("picked", Boolean(picked));
    for (const s of sections) s.classList.toggle("current", s === picked);
    for (const l of all("[data-table], nav .all")) {
      const current = picked ? l.dataset.table === picked.id : l.classList.contains("all");
      if (current) l.setAttribute("aria-current", "true");
      else l.removeAttribute("aria-current");
    }
    const mine = picked ? related(picked.id) : [];
    for (const l of lines) l.classList.toggle("current", mine.includes(l));
    for (const e of entities) {
      e.classList.toggle("kin", mine.some((l) => [l.dataset.from, l.dataset.to].includes(e.dataset.table)));
    }
    if (!picked) {
      fit();
      return;
    }
    one("nav li [aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
    const card = byTable(entities, picked.id);
    graph.classList.remove("finding");
    if (fitting() < 0.7) look([card]);
    picked.scrollIntoView();
    if (move) picked.querySelector("h2").focus({ preventScroll: true });
  };

  // Pointing at a table shows what it is related to.
  const point = (name) => {
    graph.classList.toggle("about", Boolean(name));
    const mine = name ? related(name) : [];
    const near = new Set([name, ...mine.flatMap((l) => [l.dataset.from, l.dataset.to])]);
    for (const l of lines) l.classList.toggle("near", mine.includes(l));
    for (const e of entities) e.classList.toggle("near", near.has(e.dataset.table));
  };

  // What is found of each table: in the list, in the graph and in its section.
  const places = all("nav [data-table]").map((link) => {
    const section = sections.find((s) => s.id === link.dataset.table);
    const card = byTable(entities, link.dataset.table);
    const labels = [...card.querySelectorAll(".column")];
    const rows = [...section.querySelector("tbody").rows];
    const columns = rows.map((row, i) => ({ name: row.cells[0].textContent, row, label: labels[i] }));
    return { name: link.dataset.table, item: link.parentElement, card, columns };
  });

  // find lists the tables that have a text in their name or in that of a column, and returns the one that fits best.
  const find = () => {
    const text = input.value.trim().toLowerCase();
    const fits = (name) => text !== "" && name.toLowerCase().includes(text);
    let [best, rank, columns] = [undefined, 0, 0];
    const hits = [];
    for (const { name, item, card, columns: own } of places) {
      for (const c of own) for (const e of [c.row, c.label]) e.classList.toggle("hit", fits(c.name));
      const found = own.filter((c) => fits(c.name)).map((c) => c.name);
      const hit = fits(name) || found.length > 0;
      item.hidden = text !== "" && !hit;
      item.querySelector("small").textContent = found.join(", ");
      card.classList.toggle("hit", hit);
      if (!hit) continue;
      hits.push(card);
      columns += found.length;
      const lower = name.toLowerCase();
      const of = lower === text ? 4 : lower.startsWith(text) ? 3 : fits(name) ? 2 : 1;
      if (of > rank) [best, rank] = [name, of];
    }
    graph.classList.toggle("finding", text !== "");
    document.body.classList.toggle("finding", text !== "");
    const named = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
    one("nav [role=status]").textContent = text === "" ? "" : best === undefined ? "Nothing has that in its name." :
      named(hits.length, "table") + (columns ? ", " + named(columns, "column") : "");
    return { best, hits };
  };

  input.addEventListener("input", () => {
    const { hits } = find();
    if (hits.length > 0 && fitting() < 0.7) look(hits);
    else fit();
  });
  input.addEventListener("keydown", (e) => {
    const { best } = find();
    if (e.key !== "Enter" || best === undefined) return;
    const hash = "#" + encodeURIComponent(best);
    if (location.hash === hash) show(true);
    else location.hash = hash;
  });
  addEventListener("hashchange", () => show(true));
  addEventListener("keydown", (e) => {
    if (e.key === "Escape" && input.value !== "") {
      input.value = "";
      find();
      fit();
    } else if (e.key === "Escape" && document.body.classList.contains("picked")) {
      location.hash = one("nav .all").hash;
    } else if (e.key === "/" && e.target !== input && !e.ctrlKey && !e.metaKey && !e.altKey) {
      e.preventDefault();
      input.focus();
      input.select();
    }
  });

  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  const zooms = { "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit };
  frame.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key in zooms) zooms[e.key]();
    else if (e.key in moves && frame.classList.contains("zoomed")) pan(...moves[e.key]);
    else return;
    e.preventDefault();
  });
  const steps = { in: () => zoom(1.25), out: () => zoom(0.8), fit };
  for (const button of all("[data-zoom]")) button.addEventListener("click", steps[button.dataset.zoom]);

  const fromMiddle = (x, y) => {
    const box = frame.getBoundingClientRect();
    return [x - box.left - box.width / 2, y - box.top - box.height / 2];
  };
  frame.addEventListener("wheel", (e) => {
    if (!e.ctrlKey && !e.metaKey) return; // the page scrolls
    e.preventDefault();
    const delta = Math.max(-50, Math.min(50, e.deltaY * (e.deltaMode === 1 ? 16 : 1)));
    zoom(Math.exp(-delta / 100), ...fromMiddle(e.clientX, e.clientY));
  }, { passive: false });

  // One pointer moves the graph, two zoom it.
  const down = new Map();
  let dragged = false;
  frame.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    if (down.size === 0) dragged = false;
    down.set(e.pointerId, e);
  });
  addEventListener("pointermove", (e) => {
    const was = down.get(e.pointerId);
    if (!was) return;
    const [x, y] = [e.clientX - was.clientX, e.clientY - was.clientY];
    if (!dragged && Math.hypot(x, y) < 5) return;
    if (!dragged) frame.setPointerCapture(e.pointerId);
    dragged = true;
    down.set(e.pointerId, e);
    const other = [...down.values()].find((p) => p.pointerId !== e.pointerId);
    if (other) {
      const apart = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
      pan(x / 2, y / 2);
      zoom(apart(e) / apart(was), ...fromMiddle((e.clientX + other.clientX) / 2, (e.clientY + other.clientY) / 2));
    } else {
      pan(x, y);
    }
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, (e) => down.delete(e.pointerId));
  frame.addEventListener("click", (e) => {
    if (dragged) e.preventDefault();
  }, true);
  frame.addEventListener("dragstart", (e) => e.preventDefault());

  for (const e of entities) {
    e.addEventListener("pointerenter", (p) => p.pointerType === "mouse" && point(e.dataset.table));
    e.addEventListener("pointerleave", () => point(""));
    e.addEventListener("focus", () => {
      if (!e.matches(":focus-visible")) return;
      point(e.dataset.table);
      const [card, box] = [e.getBoundingClientRect(), frame.getBoundingClientRect()];
      if (card.left < box.left || card.right > box.right || card.top < box.top || card.bottom > box.bottom) look([e]);
    });
    e.addEventListener("blur", () => point(""));
  }

  addEventListener("beforeprint", () => {
    fit();
    for (const d of all("details")) d.open = true;
  });
  document.body.classList.add("live");
  frame.style.setProperty("--shape", `${whole.w} / ${whole.h}`);
  for (const e of all("[data-live]")) e.hidden = false;
  new ResizeObserver(draw).observe(frame);
  show(false);
})();

// What the pages of people add: names offered while one is typed, how many are selected, and parts
// into which faces are dragged. Without it the same forms work by what is typed and chosen.
"use strict";

(() => {
  // Names: an input within data-suggest; who is chosen goes into the hidden field data-into.
  let asked = 0;
  let wait = 0;

  const close = (box) => {
    box.querySelector("[role=listbox]")?.remove();
    const input = box.querySelector("[role=combobox]");
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const take = (box, option) => {
    box.querySelector("[role=combobox]").value = option.dataset.name;
    box.querySelector(`input[name="${CSS.escape(box.dataset.into)}"]`).value = option.dataset.id;
    close(box);
  };

  const offer = (box, people) => {
    close(box);
    if (!people.length) return;
    const list = document.createElement("ul");
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "People");
    list.id = "offered";
    people.forEach((person, n) => {
      const option = document.createElement("li");
      const image = document.createElement("img");
      const words = document.createElement("span");
      const less = document.createElement("small");
      option.setAttribute("role", "option");
      option.id = `offered-${n}`;
      Object.assign(option.dataset, { id: person.id, name: person.name });
      Object.assign(image, { src: person.cover, width: 36, height: 36, alt: "" });
      words.textContent = `${person.name} `;
      less.textContent = `${person.rides} rides, ${person.tracks} tracks`;
      words.append(less);
      option.append(image, words);
      list.append(option);
    });
    box.append(list);
    const input = box.querySelector("[role=combobox]");
    input.setAttribute("aria-expanded", "true");
    input.setAttribute("aria-controls", list.id);
  };

  const ask = async (box, typed) => {
    const mine = ++asked;
    const url = new URL(box.dataset.suggest, location.href);
    url.searchParams.set("q", typed);
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (mine === asked && answer.ok && box.isConnected) offer(box, await answer.json());
  };

  document.addEventListener("input", (event) => {
    const box = event.target.closest("[data-suggest]");
    if (!box || !event.target.matches("[role=combobox]")) return;
    box.querySelector(`input[name="${CSS.escape(box.dataset.into)}"]`).value = "";
    clearTimeout(wait);
    const typed = event.target.value.trim();
    if (typed) wait = setTimeout(() => ask(box, typed).catch(() => close(box)), 120);
    else close(box);
  });

  document.addEventListener("keydown", (event) => {
    const box = event.target.closest?.("[data-suggest]");
    if (!box) return;
    const options = [...box.querySelectorAll("[role=option]")];
    if (!options.length) return;
    const at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      const next = options[(at + step + options.length + (at < 0 && step < 0 ? 1 : 0)) % options.length];
      for (const one of options) one.setAttribute("aria-selected", String(one === next));
      event.target.setAttribute("aria-activedescendant", next.id);
    } else if (event.key === "Enter" && at >= 0) take(box, options[at]);
    else if (event.key === "Escape") close(box);
    else return;
    event.preventDefault();
  });

  document.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[data-suggest] [role=option]");
    if (option) {
      event.preventDefault();
      take(option.closest("[data-suggest]"), option);
    }
  });

  document.addEventListener("focusout", (event) => {
    const box = event.target.closest?.("[data-suggest]");
    if (box) close(box);
  });

  // Selections: how many, on every button that needs one.
  const boxesOf = (form) => [...form.querySelectorAll("[data-tile] input[type=checkbox]")];

  const count = (form) => {
    const chosen = boxesOf(form).filter((one) => one.checked).length;
    for (const one of form.querySelectorAll("[data-chosen]")) one.textContent = chosen;
    for (const one of form.querySelectorAll("[data-chosen-in]")) one.textContent = chosen ? `(${chosen})` : "";
    for (const one of form.querySelectorAll("[data-needs]")) one.disabled = !chosen;
  };

  const countAll = () => document.querySelectorAll("form[data-selecting]").forEach(count);
  document.addEventListener("change", countAll);
  document.addEventListener("desk:selected", countAll);

  document.addEventListener("click", (event) => {
    const form = event.target.closest("[data-all]")?.closest("form");
    if (!form) return;
    const boxes = boxesOf(form);
    const all = boxes.every((one) => one.checked);
    for (const one of boxes) one.checked = !all;
    count(form);
  });

  // Among tiles the arrow keys go from one to the next.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const form = event.target.closest?.("[data-tile] input[type=checkbox]")?.closest("form[data-selecting]");
    if (!step || !form || form.querySelector(`[data-key="${event.key}"]`)) return;
    const boxes = boxesOf(form);
    boxes[boxes.indexOf(event.target) + step]?.focus();
    event.preventDefault();
  });

  // Parts: a face goes where it is dropped, or where its choice says.
  const recount = (form) => {
    let leaving = 0;
    for (const part of form.querySelectorAll("[data-part]")) {
      const own = part.querySelectorAll("[name=part]").length;
      part.querySelector("[data-part-count]").textContent = own;
      if (part.dataset.part !== "1") leaving += own;
    }
    const told = form.querySelector("[data-leaving]");
    told.textContent = `off ${leaving} track${leaving === 1 ? "" : "s"}`;
    told.closest("button").disabled = !leaving;
  };

  const put = (tile, part) => {
    const choice = tile.querySelector("select");
    choice.selectedIndex = Number(part.dataset.part) - 1;
    part.querySelector("ul").append(tile);
    recount(part.closest("form"));
  };

  document.addEventListener("change", (event) => {
    const tile = event.target.closest("[data-parts] li");
    if (!tile || !event.target.matches("select")) return;
    const part = tile.closest("form").querySelector(`[data-part="${event.target.selectedIndex + 1}"]`);
    put(tile, part);
    event.target.focus();
  });

  let dragged = null;
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-parts] li") ?? null;
  });
  document.addEventListener("dragover", (event) => {
    if (dragged && event.target.closest?.("[data-part]")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const part = event.target.closest?.("[data-part]");
    if (!dragged || !part) return;
    event.preventDefault();
    put(dragged, part);
    dragged = null;
  });

  const begin = () => {
    countAll();
    document.querySelectorAll("form[data-parts]").forEach(recount);
  };
  document.addEventListener("DOMContentLoaded", begin);
  document.addEventListener("htmx:load", begin);
})();

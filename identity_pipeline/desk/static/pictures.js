// What the room Pictures adds to its pages: which picture is looked at, and the order of a set.
"use strict";

(() => {
  let current = null; // the face that is looked at; it is found again after a decision

  const tiles = () => [...document.querySelectorAll(".pictures [data-tile]")];
  const now = () => tiles().find((tile) => tile.dataset.face === current);

  const look = (tile, focus) => {
    for (const one of tiles()) one.toggleAttribute("data-current", one === tile);
    current = tile.dataset.face;
    if (focus) tile.querySelector("[data-picture]").focus();
  };

  const say = (text) => {
    const place = document.querySelector("[data-said]");
    if (place) place.textContent = text;
  };

  document.addEventListener("focusin", (event) => {
    const tile = event.target.closest(".pictures [data-tile]");
    if (tile) look(tile, false);
  });

  // Arrows go from picture to picture; up and down by rows.
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, input:not([type=checkbox]), textarea, dialog")) return;
    const all = tiles();
    const at = all.findIndex((tile) => tile.dataset.face === current);
    const own = all[at]?.parentElement;
    const across = own ? getComputedStyle(own).gridTemplateColumns.split(" ").length : 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (!step || !all.length) return;
    event.preventDefault();
    look(all[Math.min(Math.max(at + step, 0), all.length - 1)], true);
  });

  // What is decided is about the selected pictures, else about the one that is looked at.
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "ask") return;
    const boxes = tiles().map((tile) => tile.querySelector("input[type=checkbox]")).filter(Boolean);
    const box = now()?.querySelector("input[type=checkbox]");
    if (box && !boxes.some((one) => one.checked)) box.checked = true;
  }, true);

  let wanted = null; // an order that is to be sent: while another decision is on its way, none is
  const facesOf = (list) => [...list.querySelectorAll("[data-tile]")].map((tile) => tile.dataset.face);

  const keep = (list) => {
    const form = document.getElementById("order");
    wanted = facesOf(list);
    for (const old of form.querySelectorAll("[name=subject]")) old.remove();
    for (const face of wanted) {
      const input = document.createElement("input");
      input.type = "hidden";
      input.name = "subject";
      input.value = face;
      form.append(input);
    }
    form.requestSubmit();
  };

  document.addEventListener("htmx:beforeSend", (event) => {
    if (event.target.id === "order") wanted = null;
  });

  const keepWanted = () => {
    const list = tiles().find((tile) => tile.dataset.face === wanted?.[0])?.closest("[data-ordered]");
    const there = list && Object.fromEntries([...list.children].map((tile) => [tile.dataset.face, tile]));
    if (!list || !wanted.every((face) => there[face])) return void (wanted = null);
    list.prepend(...wanted.map((face) => there[face]));
    keep(list);
  };

  // A page that renews itself keeps what is selected on it.
  let held = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, requestConfig } = event.detail;
    if (target !== document.body) return;
    const chosen = requestConfig.verb === "get" ? [...document.querySelectorAll(".pictures [name=subject]:checked")] : [];
    held = { path: location.pathname, faces: new Set(chosen.map((box) => box.value)) };
  });

  const place = (list, tile) => [...list.children].indexOf(tile) + 1;

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) return;
    const tile = now();
    const list = tile?.closest("[data-ordered]");
    if (!list) return say("Look at a picture of a set first: arrows, or a click.");
    const other = button.dataset.move === "1" ? tile.nextElementSibling : tile.previousElementSibling;
    if (!other) return say("It stands at the end already.");
    if (button.dataset.move === "1") other.after(tile);
    else other.before(tile);
    say(`Place ${place(list, tile)} of ${list.children.length}.`);
    keep(list);
  });

  let dragged = null;
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-ordered] [data-tile]");
    dragged?.classList.add("dragged");
  });
  document.addEventListener("dragover", (event) => {
    const over = event.target.closest?.("[data-ordered] [data-tile]");
    if (!dragged || !over || over.parentElement !== dragged.parentElement) return;
    event.preventDefault();
    if (over === dragged) return;
    const later = over.compareDocumentPosition(dragged) & Node.DOCUMENT_POSITION_PRECEDING;
    if (later) over.after(dragged);
    else over.before(dragged);
  });
  document.addEventListener("drop", (event) => {
    if (dragged && event.target.closest("[data-ordered]")) event.preventDefault();
  });
  document.addEventListener("dragend", () => {
    const list = dragged?.closest("[data-ordered]");
    dragged?.classList.remove("dragged");
    dragged = null;
    if (list) keep(list);
  });

  // After a decision the same picture is looked at, or the one that took its place.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target !== document.body) return;
    if (held?.path === location.pathname && held.faces.size) {
      for (const box of document.querySelectorAll(".pictures [name=subject]")) box.checked = held.faces.has(box.value);
    }
    held = null;
    if (wanted) setTimeout(keepWanted); // the decision that it waits for ends behind this event
    const tile = now();
    // One that was rejected went to the end of the page: the eye stays where it was.
    if (tile?.querySelector("[name=subject]")) look(tile, true);
  });
})();

// What the room Review adds to its pages: looking through a batch, how many an action is about,
// pictures that are asked for next, and what was settled meanwhile.
"use strict";

(() => {
  const tiles = () => [...document.querySelectorAll("[data-tiles] [data-tile]")];
  const box = (tile) => tile.querySelector("input[type=checkbox]");

  // A selection is counted in tracks: a box of a group stands for all of its tracks.
  const count = () => {
    const chosen = tiles().map(box).filter((one) => one?.checked);
    const tracks = chosen.reduce((sum, one) => sum + Number(one.dataset.ofTracks || 1), 0);
    for (const shown of document.querySelectorAll("[data-count]")) {
      const number = chosen.length ? tracks : Number(shown.dataset.count);
      shown.textContent = `${number} ${number === 1 ? "track" : "tracks"}`;
    }
    for (const shown of document.querySelectorAll("[data-stays]")) {
      const all = Number(shown.dataset.stays);
      shown.textContent = chosen.length ? `${tracks} go, ${all - tracks} stay.` : "";
    }
  };

  const look = (tile) => {
    for (const one of tiles()) {
      one.toggleAttribute("data-current", one === tile);
      const input = box(one);
      if (!input) continue;
      if (one === tile) input.setAttribute("data-key", " ");
      else input.removeAttribute("data-key");
    }
    const { face, frame, ride } = tile.querySelector("a").dataset;
    const [link, around] = ["ride", "around"].map((id) => document.getElementById(id));
    if (link && ride) Object.assign(link, { textContent: ride, href: `/rides/${ride}` });
    if (around) around.hidden = tile !== tiles()[0]; // said of the first track alone
    const [large, whole] = ["face", "frame"].map((id) => document.getElementById(id));
    if (large && face) large.src = face;
    if (whole && frame) whole.src = frame;
    tile.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]");
    if (step) {
      const all = tiles();
      const now = all.findIndex((one) => one.hasAttribute("data-current"));
      const next = all[now + Number(step.dataset.step)];
      if (next) look(next);
      return;
    }
    const part = event.target.closest("[data-select]");
    if (part) {
      const wanted = new Set(part.dataset.select.split(" "));
      for (const one of tiles().map(box)) one.checked = wanted.has(one.value);
      count();
      return;
    }
    const link = event.target.closest("[data-look]");
    if (!link) return;
    const tile = link.closest("[data-tile]");
    const input = box(tile);
    if (event.shiftKey || event.ctrlKey || event.metaKey) {
      event.preventDefault();
      event.stopPropagation();
      input.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: event.shiftKey }));
    } else if (document.getElementById("face")) {
      event.preventDefault();
      event.stopPropagation();
      look(tile);
    }
  }, true);

  document.addEventListener("desk:selected", count);
  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-tile]")) count();
  });

  // What was typed is sent; the next question begins with its keys. A button keeps the focus: htmx
  // forgets which one was pressed, and so what it decides, when a button of the form loses it.
  document.addEventListener("submit", () => {
    const now = document.activeElement;
    if (now?.matches("input")) now.blur();
  }, true);

  // Pictures of the next questions are there before they are asked for.
  const fetchAhead = () => {
    const urls = document.querySelector("[data-ahead]")?.dataset.ahead.trim();
    for (const url of urls ? urls.split(/\s+/) : []) new Image().src = url;
  };
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target === document.body) fetchAhead();
  });
  if (document.readyState === "complete") fetchAhead();
  else window.addEventListener("load", fetchAhead);

  // The library moved: a question that is settled by itself makes room for the next.
  document.addEventListener("desk:moved", async () => {
    const shown = document.querySelector("[data-question]");
    if (!shown) return;
    const { question, of } = shown.dataset;
    if (question) {
      const answer = await fetch(`/review/${question}/open`);
      if (!answer.ok || (await answer.json()).open) return;
    }
    if (!shown.isConnected || document.activeElement?.value || document.querySelector("[data-tile] input:checked")) return;
    const path = question ? `/review/${question}?of=${encodeURIComponent(of)}` : "/review";
    window.htmx.ajax("GET", path, { target: "body", swap: "innerHTML" });
  });
})();

// What all pages of the desk share: keys, the list of them, and selections by pointer and key.
// A room marks its controls: data-key (and data-help) for a key, data-tile around a checkbox.
"use strict";

(() => {
  const named = { " ": "Space", ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓" };

  // Where letters are text, they are no commands.
  const writes = (element) =>
    element.closest("textarea, select, [contenteditable], input:not([type=checkbox]):not([type=radio])");

  const pressed = (event) =>
    (event.altKey ? "Alt+" : "") +
    (event.shiftKey && event.key.length > 1 ? "Shift+" : "") +
    event.key;

  const bearer = (key) =>
    [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(
      (element) => !element.disabled && element.offsetParent !== null && !element.closest("dialog:not([open])"),
    );

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.isComposing || writes(event.target)) return;
    if (document.querySelector("dialog[open]") && event.key !== "?") return;
    const onControl = event.target.closest("a, button, summary, input");
    if ((event.key === "Enter" || event.key === " ") && onControl) return;
    const element = bearer(pressed(event));
    if (!element) return;
    event.preventDefault();
    // A key that is held down leafs on, but decides once.
    if (event.repeat && element.closest("form[method=post]")) return;
    if (element.matches("input:not([type=checkbox]), textarea, select")) element.focus();
    else element.click();
  });

  const showHelp = () => {
    const dialog = document.getElementById("help");
    if (!dialog) return;
    if (dialog.open) return dialog.close();
    const list = dialog.querySelector("[data-help-list]");
    list.replaceChildren();
    for (const element of document.querySelectorAll("[data-key][data-help]")) {
      const key = document.createElement("dt");
      const means = document.createElement("dd");
      const cap = document.createElement("kbd");
      cap.textContent = named[element.dataset.key] || element.dataset.key;
      key.append(cap);
      means.textContent = element.dataset.help;
      list.append(key, means);
    }
    dialog.showModal();
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help-open]")) showHelp();
  });

  // One decision at a time: what is pressed before the next page is there was meant for this one.
  let deciding = null;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.requestConfig.verb !== "post") return;
    if (deciding) event.preventDefault();
    else deciding = event.detail.xhr;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr === deciding) deciding = null;
  });

  // Without an answer it is not known whether a decision arrived.
  document.addEventListener("htmx:sendError", () => {
    const trouble = document.getElementById("trouble");
    if (!trouble) return;
    trouble.textContent = "The desk does not answer. Is it still running? Reload this page then: it shows what was decided.";
    trouble.hidden = false;
  });

  // A page that was fetched brings the styles and scripts of its head: htmx takes its body alone.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    for (const one of page.head.querySelectorAll("link[rel=stylesheet], script[src]")) {
      const where = one.localName === "link" ? "href" : "src";
      const same = `${one.localName}[${where}="${CSS.escape(one.getAttribute(where))}"]`;
      if (document.head.querySelector(same)) continue;
      const added = document.createElement(one.localName);
      for (const { name, value } of one.attributes) added.setAttribute(name, value);
      document.head.append(added);
    }
  });

  // Another page begins at its top; the same one, after a decision, stays where it was.
  let shown = location.pathname;
  document.addEventListener("htmx:afterSwap", () => {
    if (location.pathname !== shown) window.scrollTo(0, 0);
    shown = location.pathname;
  });

  // Shift-click on a tile selects all from the last one on.
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target.closest("[data-tile] input[type=checkbox]");
    if (!box) return;
    if (event.shiftKey && last && last !== box && last.isConnected) {
      const boxes = [...box.closest("form, main").querySelectorAll("[data-tile] input[type=checkbox]")];
      const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      if (from >= 0) for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
    }
    last = box;
    document.dispatchEvent(new CustomEvent("desk:selected"));
  });

  // A new page begins at its main part, not in a field of the same name as the one that was left.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target === document.body) document.activeElement?.blur();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target !== document.body || document.activeElement !== document.body) return;
    document.getElementById("main")?.focus({ preventScroll: true });
  });
})();

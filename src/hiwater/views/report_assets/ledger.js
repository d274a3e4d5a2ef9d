// Where the peak went: one process at a time, details folded. Without this script everything is shown.
(() => {
  for (const panel of document.querySelectorAll(".ledger")) {
    const parts = [...panel.querySelectorAll(".ledger-of")], choice = panel.querySelector("select");
    if (choice) {
      const show = () => parts.forEach((part) => { part.hidden = part.id !== choice.value; });
      choice.addEventListener("change", show);
      choice.parentElement.hidden = false;
      show();
    }
    for (const button of panel.querySelectorAll("button.fold")) {
      const details = document.getElementById(button.getAttribute("aria-controls"));
      const set = (open) => { button.setAttribute("aria-expanded", String(open)); details.hidden = !open; };
      button.addEventListener("click", () => set(details.hidden));
      set(false);
    }
  }
})();

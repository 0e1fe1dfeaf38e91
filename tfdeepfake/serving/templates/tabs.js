// The tabs of the page: arrow keys go from one to the other.
import { byId } from "./dom.js";
import { stopWebcam } from "./webcam.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab) {
  for (const one of tabs) {
    const on = one === tab;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = !on;
  }
  if (tab.id !== "tab-webcam") stopWebcam();
}

for (const [number, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const to = tabs[(number + step + tabs.length) % tabs.length];
    choose(to);
    to.focus();
  });
}

export const showVideos = () => choose(tabs[0]);

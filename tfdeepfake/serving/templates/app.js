// The page: takes videos, follows their jobs, shows verdicts; the webcam's tab.
import { byId, counted, element, say, token } from "./dom.js";
import { showVideos } from "./tabs.js";
import { Refusal, send } from "./upload.js";
import { shown } from "./verdict.js";
import { startWebcam, stopWebcam } from "./webcam.js";

const HISTORY = "tfdeepfake-videos";
// A browser keeps six connections to a server: two are left for images and for what is clicked.
const PARALLEL_UPLOADS = 2;
const PARALLEL_EVENTS = 2;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // of a browser
const STEPS = ["upload", "queued", "reading", "faces", "network", "images"];
const WORDS = { no_face: "NO FACE", unreadable: "UNREADABLE", error: "ERROR" };

let about = null;
let uploading = 0;
let listening = 0;
const waiting = [];
const unheard = []; // jobs whose events are not listened to yet, in the order of the server's queue
const sending = new Set();
const unauthorised = new Set(); // items that the server's token is still needed for
const items = new Map(); // job id -> item

// History of this session: ids and names, in this tab alone.

function remember() {
  // As they stand on the page, the oldest first: uploads end in another order.
  const shownAt = [...byId("items").children];
  const kept = [...items.values()].sort((one, other) => shownAt.indexOf(other.node) - shownAt.indexOf(one.node))
    .map((item) => ({ id: item.id, name: item.name }));
  try { sessionStorage.setItem(HISTORY, JSON.stringify(kept)); } catch { /* storage may be switched off */ }
}

function remembered() {
  try { return JSON.parse(sessionStorage.getItem(HISTORY)) || []; } catch { return []; }
}

// One video on the page.

function makeItem(name, file) {
  const node = byId("item").content.cloneNode(true).firstElementChild;
  node.querySelector("h3").textContent = name;
  const item = { name, file, node, id: null, verdict: null, cancel: null, hush: null };
  node.querySelector(".remove").setAttribute("aria-label", `Remove ${name}`);
  node.querySelector(".remove").addEventListener("click", () => removeItem(item));
  byId("items").prepend(node);
  showStep(item, "upload", 0, "");
  return item;
}

function removeItem(item) {
  const place = waiting.indexOf(item);
  if (place >= 0) waiting.splice(place, 1);
  if (item.cancel) item.cancel();
  item.removed = true;
  if (item.hush) item.hush();
  if (item.id) fetch(`v1/videos/${item.id}`, { method: "DELETE" }).catch(() => {}); // it expires there by itself
  if (item.url) URL.revokeObjectURL(item.url);
  items.delete(item.id);
  item.node.remove();
  remember();
  coverage();
  say(`${item.name} was removed.`);
  byId("files").focus();
}

function showStep(item, step, fraction, text) {
  const now = STEPS.indexOf(step);
  item.node.querySelectorAll(".steps li").forEach((li, number) => {
    li.classList.toggle("done", number < now);
    if (number === now) li.setAttribute("aria-current", "step");
    else li.removeAttribute("aria-current");
  });
  const bar = item.node.querySelector("progress");
  bar.value = fraction;
  bar.setAttribute("aria-label", `${item.name}: ${step}`);
  item.node.querySelector(".facts").textContent = text;
  const badge = item.node.querySelector(".badge");
  badge.textContent = step === "queued" || (step === "upload" && !sending.has(item)) ? "WAITING" : "WORKING";
  badge.className = "badge busy";
}

function fail(item, text) {
  item.node.classList.add("failed");
  item.node.querySelector(".working").hidden = true;
  const badge = item.node.querySelector(".badge");
  badge.textContent = "NOT JUDGED";
  badge.className = "badge error";
  const judged = item.node.querySelector(".judged");
  judged.hidden = false;
  judged.replaceChildren(element("p", { class: "reason" }, text));
  say(`${item.name}: ${text}`);
}

// Uploads.

function take(files) {
  for (const file of files) {
    const item = makeItem(file.name, file);
    if (about && file.size > about.max_upload_bytes) {
      fail(item, `It is larger than the ${about.max_upload_bytes >> 20} MB that this server takes.`);
      continue;
    }
    if (!file.size) {
      fail(item, "It is empty.");
      continue;
    }
    waiting.push(item);
  }
  next();
}

function next() {
  while (uploading < PARALLEL_UPLOADS && waiting.length) upload(waiting.shift());
}

async function upload(item) {
  uploading += 1;
  const progress = (sent, text) => {
    if (text) showStep(item, "upload", item.node.querySelector("progress").value, text);
    else showStep(item, "upload", 0.05 * (sent / item.file.size), `${Math.round(100 * (sent / item.file.size))} % sent`);
  };
  sending.add(item);
  progress(0);
  const headers = token();
  try {
    item.id = await send(item, { headers, progress });
    if (item.removed) {
      fetch(`v1/videos/${item.id}`, { method: "DELETE" });
    } else {
      items.set(item.id, item);
      remember();
      follow(item);
    }
  } catch (error) {
    sending.delete(item);
    if (!item.removed) refused(item, error, headers);
  }
  sending.delete(item);
  uploading -= 1;
  next();
}

// Who leaves the page takes the rest of a file along: it cannot go on, and waits for nobody.
window.addEventListener("pagehide", () => { for (const item of sending) if (item.cancel) item.cancel(); });

function refused(item, error, headers) {
  if (error instanceof Refusal && error.status === 429) {
    showStep(item, "upload", 0, "The server is busy; it is asked again in 5 s.");
    setTimeout(() => { if (!item.removed) { waiting.push(item); next(); } }, 5000);
  } else if (error instanceof Refusal && error.status === 401) {
    byId("token-form").hidden = false;
    byId("token").focus();
    unauthorised.add(item);
    fail(item, headers.Authorization ? "That is not the token of this server: give it above." : "This server needs its token: give it above.");
  } else {
    fail(item, `The video ${error.message}.`);
  }
}

// A token was given: what was refused without it is sent.
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  for (const item of unauthorised) {
    if (item.removed) continue;
    item.node.classList.remove("failed");
    item.node.querySelector(".working").hidden = false;
    item.node.querySelector(".judged").hidden = true;
    showStep(item, "upload", 0, "");
    waiting.push(item);
  }
  unauthorised.clear();
  next();
});

// Jobs.

function follow(item) {
  showStep(item, "queued", 0.05, "");
  unheard.push(item);
  listenNext();
}

function listenNext() {
  while (listening < PARALLEL_EVENTS && unheard.length) {
    const item = unheard.shift();
    if (!item.removed) listen(item);
  }
}

function listen(item) {
  const source = new EventSource(`v1/videos/${item.id}/events`);
  listening += 1;
  item.hush = () => {
    source.close();
    item.hush = null;
    listening -= 1;
    listenNext();
  };
  const heard = (event) => {
    const job = JSON.parse(event.data);
    if (job.state === "done") {
      item.hush();
      show(item, job);
    } else if (job.state === "stopped") {
      item.hush();
      fail(item, "The server was stopped before the video was judged: choose it again.");
    } else {
      const before = job.before ? `${job.before} before it` : "next";
      showStep(item, job.state === "running" ? job.step : "queued", Math.max(0.05, job.fraction), job.state === "queued" ? before : "");
    }
  };
  for (const state of ["uploading", "queued", "running", "done", "stopped"]) source.addEventListener(state, heard);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) { // the browser asks again by itself
      item.node.querySelector(".facts").textContent = "The server does not answer; it is asked again.";
      return;
    }
    item.hush();
    fail(item, "The server does not know this video any more: choose it again.");
  });
}

// Verdicts.

function show(item, job) {
  const { verdict } = job;
  item.verdict = verdict;
  item.node.querySelector(".working").hidden = true;
  const word = verdict.label || WORDS[verdict.status];
  const badge = item.node.querySelector(".badge");
  badge.textContent = word;
  badge.className = `badge ${(verdict.label || verdict.status).toLowerCase()}`;
  item.node.classList.toggle("failed", ["unreadable", "error"].includes(verdict.status));
  const judged = item.node.querySelector(".judged");
  judged.hidden = false;
  judged.replaceChildren(...shown(item, job));
  byId("meaning").hidden = false;
  say(`${item.name}: ${word}${verdict.status === "scored" ? ` ${verdict.probability.toFixed(2)}` : ""}`);
  coverage();
  setTimeout(() => expire(item), Math.min(1000 * job.expires_in_s, LONGEST_TIMER_MS));
}

// The server has deleted it: what would be fetched from there is not offered any more.
function expire(item) {
  if (item.node.contains(document.activeElement)) item.node.focus();
  for (const node of item.node.querySelectorAll(".actions, .ask")) node.remove();
  item.node.querySelector(".judged").append(
    element("p", { class: "note" }, "The server has deleted this verdict; what stands here goes with this page."));
}

function coverage() {
  const verdicts = [...items.values()].map((item) => item.verdict).filter(Boolean);
  const scored = verdicts.filter((verdict) => verdict.status === "scored");
  const count = (label) => scored.filter((verdict) => verdict.label === label).length;
  byId("coverage").hidden = !verdicts.length;
  byId("coverage").textContent =
    `${scored.length} of ${verdicts.length} judged ${scored.length === 1 ? "is" : "are"} scored: ${count("FAKE")} FAKE, ${count("REAL")} REAL, ${count("UNSURE")} UNSURE.` +
    (scored.length < verdicts.length ? " The others have no probability, and nothing is said about them." : "");
}

// Start.

byId("webcam-start").addEventListener("click", startWebcam);
byId("webcam-stop").addEventListener("click", stopWebcam);

const drop = byId("drop");
byId("files").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  showVideos();
  take(event.dataTransfer.files);
});

(async () => {
  const answer = await fetch("v1/server");
  about = await answer.json();
  byId("model").textContent = about.model;
  byId("trained-on").textContent = `${about.trained_on}; licence of the weights: ${about.licence}`;
  byId("limits").textContent = `Up to ${about.max_upload_bytes >> 20} MB and ${Math.round(about.max_duration_s)} s each. ` +
    `Videos are deleted once they are judged, verdicts after ${counted(about.keep_minutes, "minute")}.`;
  byId("token-form").hidden = !about.needs_token;
  let gone = 0;
  for (const { id, name } of remembered()) {
    const known = await fetch(`v1/videos/${encodeURIComponent(id)}`);
    if (!known.ok) {
      gone += 1;
      continue;
    }
    const item = makeItem(name, null);
    item.id = id;
    items.set(id, item);
    follow(item);
  }
  byId("gone").hidden = !gone;
  byId("gone").textContent = `${counted(gone, "earlier verdict")} of this tab ${gone === 1 ? "is" : "are"} deleted on the server.`;
  remember();
})();

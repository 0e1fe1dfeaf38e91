// The page: uploads videos, follows their jobs, shows verdicts. All text of strangers goes in by textContent.
"use strict";

const HISTORY = "tfdeepfake-videos";
const PARALLEL_UPLOADS = 2;
const STEPS = ["upload", "queued", "reading", "faces", "network", "images"];
const WORDS = { no_face: "NO FACE", unreadable: "UNREADABLE", error: "ERROR" };
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };
const seconds = (value) => `${value.toFixed(2)} s`;

let about = null;
let uploading = 0;
const waiting = [];
const items = new Map(); // job id -> item

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// History of this session: ids and names, in this tab alone.

function remember() {
  const kept = [...items.values()].filter((item) => item.id).map((item) => ({ id: item.id, name: item.name }));
  try { sessionStorage.setItem(HISTORY, JSON.stringify(kept)); } catch { /* storage may be switched off */ }
}

function remembered() {
  try { return JSON.parse(sessionStorage.getItem(HISTORY)) || []; } catch { return []; }
}

// One video on the page.

function makeItem(name, file) {
  const node = byId("item").content.cloneNode(true).firstElementChild;
  node.querySelector("h3").textContent = name;
  const item = { name, file, node, id: null, verdict: null, request: null, source: null };
  node.querySelector(".remove").setAttribute("aria-label", `Remove ${name}`);
  node.querySelector(".remove").addEventListener("click", () => removeItem(item));
  byId("items").prepend(node);
  showStep(item, "upload", 0, "");
  return item;
}

function removeItem(item) {
  const place = waiting.indexOf(item);
  if (place >= 0) waiting.splice(place, 1);
  if (item.request) item.request.abort();
  if (item.source) item.source.close();
  if (item.id) fetch(`v1/videos/${item.id}`, { method: "DELETE" });
  if (item.url) URL.revokeObjectURL(item.url);
  items.delete(item.id);
  item.removed = true;
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
  badge.textContent = step === "queued" ? "WAITING" : "WORKING";
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
    waiting.push(item);
  }
  next();
}

function next() {
  while (uploading < PARALLEL_UPLOADS && waiting.length) upload(waiting.shift());
}

function upload(item) {
  uploading += 1;
  const request = new XMLHttpRequest();
  item.request = request;
  request.open("POST", "v1/videos");
  request.responseType = "json";
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("X-File-Name", encodeURIComponent(item.name));
  if (byId("token").value) request.setRequestHeader("Authorization", `Bearer ${byId("token").value}`);
  request.upload.addEventListener("progress", (event) => {
    const part = event.lengthComputable ? event.loaded / event.total : 0;
    showStep(item, "upload", 0.05 * part, `${Math.round(100 * part)} % sent`);
  });
  request.addEventListener("loadend", () => {
    uploading -= 1;
    item.request = null;
    if (!item.removed) uploaded(item, request);
    next();
  });
  request.send(item.file);
}

function uploaded(item, request) {
  const body = request.response || {};
  if (request.status === 202) {
    item.id = body.id;
    items.set(item.id, item);
    remember();
    follow(item);
  } else if (request.status === 429) {
    showStep(item, "upload", 0, "The server is busy; it is asked again in 5 s.");
    setTimeout(() => { if (!item.removed) { waiting.push(item); next(); } }, 5000);
  } else if (request.status === 401) {
    byId("token-form").hidden = false;
    byId("token").focus();
    fail(item, "This server needs its token: give it above, then choose the video again.");
  } else {
    fail(item, request.status ? `The video ${body.error || `was refused (${request.status})`}` : "The connection broke.");
  }
}

// Jobs.

function follow(item) {
  const source = new EventSource(`v1/videos/${item.id}/events`);
  item.source = source;
  const heard = (event) => {
    const job = JSON.parse(event.data);
    if (job.state === "done") {
      source.close();
      show(item, job);
    } else if (job.state === "stopped") {
      source.close();
      fail(item, "The server was stopped before the video was judged.");
    } else {
      const before = job.before ? `${job.before} before it` : "next";
      showStep(item, job.state === "running" ? job.step : "queued", Math.max(0.05, job.fraction), job.state === "queued" ? before : "");
    }
  };
  for (const state of ["uploading", "queued", "running", "done", "stopped"]) source.addEventListener(state, heard);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
    fail(item, "The server does not know this video any more.");
  });
}

// Verdicts.

function show(item, job) {
  const { verdict, links } = job;
  item.verdict = verdict;
  item.node.querySelector(".working").hidden = true;
  const word = verdict.label || WORDS[verdict.status];
  const badge = item.node.querySelector(".badge");
  badge.textContent = word;
  badge.className = `badge ${(verdict.label || verdict.status).toLowerCase()}`;
  const judged = item.node.querySelector(".judged");
  judged.hidden = false;
  const scored = verdict.status === "scored";
  judged.replaceChildren(...[
    facts(verdict),
    ...(scored ? [lead(verdict), doubts(verdict)] : [element("p", { class: "reason" }, `${verdict.reason} ${verdict.remedy}`)]),
    player(item, verdict),
    frames(verdict, links),
    ...(scored ? faces(item, verdict, links) : []),
    actions(links),
  ].filter(Boolean));
  byId("meaning").hidden = false;
  say(`${item.name}: ${word}${scored ? ` ${verdict.probability.toFixed(2)}` : ""}`);
  coverage();
}

function coverage() {
  const verdicts = [...items.values()].map((item) => item.verdict).filter(Boolean);
  const scored = verdicts.filter((verdict) => verdict.status === "scored");
  const count = (label) => scored.filter((verdict) => verdict.label === label).length;
  byId("coverage").hidden = !verdicts.length;
  byId("coverage").textContent =
    `${scored.length} of ${verdicts.length} scored: ${count("FAKE")} FAKE, ${count("REAL")} REAL, ${count("UNSURE")} UNSURE.` +
    (scored.length < verdicts.length ? " The others have no probability, and nothing is said about them." : "");
}

function facts(verdict) {
  const video = verdict.video || {};
  const parts = [];
  if (video.width) parts.push(`${video.width} × ${video.height} px`);
  if (video.duration_s && !video.is_image) parts.push(`${video.duration_s.toFixed(1)} s`);
  if (video.codec) parts.push(video.codec);
  if (verdict.num_samples) parts.push(`${verdict.num_samples} ${verdict.num_samples === 1 ? "sample" : "samples"}`);
  for (const note of video.notes || []) parts.push(note);
  return element("p", { class: "facts" }, parts.join(", "));
}

function lead(verdict) {
  const spread = verdict.interval ? `, ${verdict.interval[0].toFixed(2)} to ${verdict.interval[1].toFixed(2)} with other frames` : "";
  const one = verdict.deciding_face ? `of face ${verdict.deciding_face}, which decides` : "of all its faces together";
  const face = verdict.whole_frame ? "of the whole frame" : one;
  const peak = verdict.peak && verdict.video_rule !== "peak" && verdict.peak.probability >= verdict.threshold && verdict.probability < verdict.threshold
    ? `; but ${verdict.peak.probability.toFixed(2)} from ${seconds(verdict.peak.from_s)} to ${seconds(verdict.peak.to_s)}` : "";
  return element("div", { class: "lead" },
    element("b", { class: verdict.label.toLowerCase() }, verdict.probability.toFixed(2)),
    element("span", {}, `probability of FAKE ${face}${spread}; FAKE from ${verdict.threshold.toFixed(2)} on${peak}`));
}

function doubts(verdict) {
  const told = verdict.doubts || [];
  if (!told.length) return null;
  const texts = told.map((one) => (one.face ? `face ${one.face}: ${one.text}` : one.text));
  return element("p", { class: "doubts" }, element("b", { class: "unsure" }, "Unsure: "), texts.join("; ") + ".");
}

function player(item, verdict) {
  if (!item.file || (verdict.video || {}).is_image || verdict.status === "unreadable") return null;
  item.url = item.url || URL.createObjectURL(item.file);
  const video = element("video", { controls: "", playsinline: "", preload: "auto", src: item.url, "aria-label": item.name });
  video.muted = true;
  const boxes = drawn("svg", { "aria-hidden": "true", preserveAspectRatio: "none", viewBox: `0 0 ${verdict.video.width || 1} ${verdict.video.height || 1}` });
  const holder = element("div", { class: "player" }, video, boxes);
  item.video = video;
  video.addEventListener("error", () => holder.remove()); // a format that this browser does not play
  const follow = () => {
    mark(item, verdict, boxes, video.currentTime);
    if (!video.paused && !video.ended) requestAnimationFrame(follow);
  };
  for (const event of ["play", "seeked", "timeupdate", "loadeddata"]) video.addEventListener(event, follow);
  return holder;
}

// What is shown at a time of the video: each face's box where the nearest sample has it, and the line in each timeline.
function mark(item, verdict, boxes, time) {
  boxes.replaceChildren();
  for (const face of verdict.faces || []) {
    let best = null;
    for (const point of face.timeline) {
      const places = point.boxes ? point.boxes.map(([, at, ...box]) => [at, box]) : [[point.time_s, point.box]];
      for (const [at, box] of places) {
        const away = Math.abs(at - time);
        if (away < 0.75 && (!best || away < best.away)) best = { away, box, point };
      }
    }
    if (!best || verdict.whole_frame) continue;
    const [x0, y0, x1, y1] = best.box;
    const kind = best.point.probability >= verdict.threshold ? "fake" : "real";
    boxes.append(drawn("rect", { class: kind, x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), rx: 6 }));
  }
  const length = verdict.video.duration_s;
  for (const line of item.node.querySelectorAll(".now")) {
    const x = 1000 * Math.min(1, time / length);
    line.setAttribute("d", `M${x.toFixed(1)} 0V100`);
  }
  for (const plot of item.node.querySelectorAll("svg.seek")) {
    plot.setAttribute("aria-valuenow", time.toFixed(2));
    plot.setAttribute("aria-valuetext", seconds(time));
  }
}

function frames(verdict, links) {
  const images = (verdict.images || []).filter((image) => image.kind === "frame");
  if (!images.length) return null;
  return element("div", { class: `strip n${images.length}` }, ...images.map((image) => {
    const said = verdict.video.is_image ? "the image" : `frame at ${seconds(image.time_s)}`;
    const label = element("label", { class: "zoom" },
      element("input", { type: "checkbox", "aria-label": `enlarge ${said}` }),
      element("img", { src: `${links.self.slice(1)}/${image.file}`, alt: said, loading: "lazy" }));
    return label;
  }));
}

function faces(item, verdict, links) {
  const thumbs = new Map((verdict.images || []).filter((image) => image.kind === "face").map((image) => [image.face, image.file]));
  const solid = verdict.faces.filter((face) => !face.brief && !face.weak);
  const rows = solid.map((face) => {
    const name = verdict.whole_frame ? "whole frame" : `face ${face.face}`;
    const thumb = thumbs.has(face.face)
      ? element("img", { class: "thumb", src: `${links.self.slice(1)}/${thumbs.get(face.face)}`, alt: name }) : element("span");
    const who = element("div", { class: "who" }, name,
      element("small", {}, `seen in ${Math.round(100 * face.fraction)} % of the samples`),
      element("b", { class: face.label.toLowerCase() }, `${face.label} ${face.probability.toFixed(2)}`));
    return element("div", { class: "face" }, thumb, who, timeline(item, verdict, face, name));
  });
  const rest = verdict.faces.filter((face) => face.brief || face.weak);
  if (rest.length) {
    const texts = rest.map((face) => `face ${face.face} (${face.probability.toFixed(2)}${face.brief ? ", brief" : ", small or unclear"})`);
    rows.push(element("p", { class: "note" }, `Listed, but not deciding: ${texts.join(", ")}.`));
  }
  if (verdict.faces_not_judged) rows.push(element("p", { class: "note" }, `${verdict.faces_not_judged} more faces were found and not judged.`));
  return rows;
}

function timeline(item, verdict, face, name) {
  const length = verdict.video.duration_s;
  if (!length || verdict.video.is_image) return element("span");
  const x = (time) => (1000 * Math.min(Math.max(time / length, 0), 1)).toFixed(1);
  const y = (probability) => (100 * (1 - probability)).toFixed(1);
  const limit = y(verdict.threshold);
  const svg = drawn("svg", {
    class: "seek", viewBox: "0 0 1000 100", preserveAspectRatio: "none", tabindex: "0", role: "slider",
    "aria-label": `${name}: probability over time; arrow keys go through the samples`,
    "aria-valuemin": 0, "aria-valuemax": length, "aria-valuenow": 0, "aria-valuetext": seconds(0),
  },
  drawn("rect", { class: "over", x: 0, y: 0, width: 1000, height: limit }),
  drawn("path", { class: "limit", d: `M0 ${limit}H1000` }),
  drawn("polyline", { points: face.timeline.map((p) => `${x((p.time_s + p.end_s) / 2)},${y(p.probability)}`).join(" ") }),
  ...face.timeline.map((p) => drawn("path", {
    class: p.probability >= verdict.threshold ? "fake" : "real",
    d: `M${x(p.time_s)} ${y(p.probability)}H${(Number(x(p.end_s)) + 0.1).toFixed(1)}`,
  }, drawn("title", {}, `${seconds(p.time_s)}: ${p.probability.toFixed(2)}`))),
  drawn("path", { class: "now", d: "M0 0V100" }));
  const seek = (time) => { if (item.video) item.video.currentTime = Math.min(Math.max(time, 0), length); };
  svg.addEventListener("pointerdown", (event) => {
    const box = svg.getBoundingClientRect();
    seek(length * (event.clientX - box.left) / box.width);
  });
  svg.addEventListener("keydown", (event) => {
    const now = item.video ? item.video.currentTime : 0;
    const times = face.timeline.map((p) => p.time_s);
    const later = times.find((time) => time > now + 0.01);
    const earlier = times.filter((time) => time < now - 0.01).pop();
    const to = { ArrowRight: later, ArrowUp: later, ArrowLeft: earlier, ArrowDown: earlier, Home: times[0], End: times[times.length - 1] }[event.key];
    if (event.key === " " && item.video) {
      if (item.video.paused) item.video.play(); else item.video.pause();
    } else if (to === undefined) return;
    else seek(to);
    event.preventDefault();
  });
  const scale = (text, top) => {
    const made = element("span", { class: "y", "aria-hidden": "true" }, text);
    made.style.top = `${top}px`;
    return made;
  };
  return element("figure", { class: "time" }, svg, scale("1", 0), scale("0", 84),
    element("figcaption", {}, element("span", {}, "0 s"), element("span", {}, `${length.toFixed(1)} s`)));
}

function actions(links) {
  const made = element("p", { class: "actions" });
  if (links.json) {
    made.append(
      element("a", { class: "button", href: links.page.slice(1), target: "_blank", rel: "noopener" }, "Verdict page"),
      element("a", { class: "button", href: `${links.page.slice(1)}?download=1`, download: "" }, "Download HTML"),
      element("a", { class: "button", href: links.json.slice(1), download: "" }, "Download JSON"));
  }
  return made;
}

// Start.

const drop = byId("drop");
byId("files").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});

(async () => {
  const answer = await fetch("v1/server");
  about = await answer.json();
  byId("model").textContent = about.model;
  byId("trained-on").textContent = `${about.trained_on}; licence of the weights: ${about.licence}`;
  byId("limits").textContent = `Up to ${about.max_upload_bytes >> 20} MB and ${Math.round(about.max_duration_s)} s each. ` +
    `Videos are deleted once they are judged, verdicts after ${about.keep_minutes} minutes.`;
  byId("token-form").hidden = !about.needs_token;
  for (const { id, name } of remembered().reverse()) {
    const known = await fetch(`v1/videos/${encodeURIComponent(id)}`);
    if (!known.ok) continue;
    const item = makeItem(name, null);
    item.id = id;
    items.set(id, item);
    follow(item);
  }
  remember();
})();

// A verdict as it is shown: facts, doubts, the video with boxes, frames, each face over time, maps, downloads.
import { drawn, element, say, seconds, token } from "./dom.js";

export function shown(item, { verdict, links }) {
  const scored = verdict.status === "scored";
  return [
    facts(verdict),
    ...(scored ? [lead(verdict), doubts(verdict)] : [element("p", { class: "reason" }, `${verdict.reason} ${verdict.remedy}`)]),
    player(item, verdict),
    frames(verdict, links),
    ...(scored ? faces(item, verdict, links) : []),
    actions(links),
  ].filter(Boolean);
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
      // Of a single sample there is nothing to tell.
      ...(face.timeline.length > 1 ? [element("small", {}, `seen in ${Math.round(100 * face.fraction)} % of the samples`)] : []),
      element("b", { class: face.label.toLowerCase() }, `${face.label} ${face.probability.toFixed(2)}`),
      methods(face));
    const row = element("div", { class: "face" }, thumb, who, timeline(item, verdict, face, name));
    if ((verdict.explainable || []).includes(face.face)) who.append(mapButton(item, face, name, row));
    return row;
  });
  const rest = verdict.faces.filter((face) => face.brief || face.weak);
  if (rest.length) {
    const texts = rest.map((face) => `face ${face.face} (${face.probability.toFixed(2)}${face.brief ? ", brief" : ", small or unclear"})`);
    rows.push(element("p", { class: "note" }, `Listed, but not deciding: ${texts.join(", ")}.`));
  }
  if (verdict.faces_not_judged) rows.push(element("p", { class: "note" }, `${verdict.faces_not_judged} more faces were found and not judged.`));
  return rows;
}

// Probabilities of the methods that a face may be made by, as the verdict page has them; of a network of classes.
function methods(face) {
  const likely = Object.entries(face.classes || {}).sort(([, one], [, other]) => other - one).slice(0, 7)
    .filter(([name]) => name !== "real");
  if (!likely.length) return null;
  return element("ul", { class: "methods" }, ...likely.map(([name, probability]) => {
    const bar = element("u");
    bar.style.width = `${(100 * probability).toFixed(1)}%`;
    return element("li", {}, element("span", {}, name), element("i", {}, bar), element("small", {}, probability.toFixed(2)));
  }));
}

// A map is drawn when it is asked for; then the button shows and hides it.
function mapButton(item, face, name, row) {
  const figure = element("figure", { class: "map", id: `map-${item.id}-${face.face}`, hidden: "" });
  const button = element("button", { type: "button", class: "ask", "aria-expanded": "false", "aria-controls": figure.id }, "Where it looks");
  button.setAttribute("aria-label", `Where it looks: ${name}`);
  const open = (shown) => { figure.hidden = !shown; button.setAttribute("aria-expanded", String(shown)); };
  button.addEventListener("click", async () => {
    if (figure.childElementCount) return open(figure.hidden);
    button.disabled = true;
    button.textContent = "Drawing ...";
    say(`A map of ${name} is being drawn.`);
    try {
      const answer = await fetch(`v1/videos/${item.id}/faces/${face.face}/map`, { method: "POST", headers: token() });
      const map = await answer.json();
      if (!answer.ok) throw new Error(map.error);
      const empty = map.empty ? " Nothing in it speaks for FAKE." : "";
      const which = item.verdict.video.is_image ? "" : ` at ${seconds(map.time_s)}, the sample most like a fake`;
      figure.append(
        element("img", { src: map.link.slice(1), alt: `the crop of ${name}, and beside it where the network looks` }),
        element("figcaption", { class: "note" }, `Crop and map${which}: what is red speaks most for FAKE.${empty}`));
      open(true);
      say(`The map of ${name} is there.`);
    } catch (error) {
      say(`No map of ${name}: ${error.message}`);
      figure.replaceChildren();
      row.append(element("p", { class: "note" }, `No map: ${error.message}`));
    }
    button.disabled = false;
    button.textContent = "Where it looks";
    return undefined;
  });
  row.append(figure);
  return button;
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

// The webcam tab: an image a second goes to the server, a verdict comes back, nothing of it is kept.
import { byId, drawn, element, say, token } from "./dom.js";

const EVERY_MS = 1000;
const LONGEST_PX = 1280;
const WORDS = { no_face: "NO FACE", unreadable: "UNREADABLE", error: "ERROR" };

let stream = null;

const note = (text) => { byId("webcam-note").textContent = text; };

export async function startWebcam() {
  if (stream) return;
  if (!navigator.mediaDevices) {
    note("Browsers give the camera to pages of this machine and over https alone.");
    return;
  }
  byId("webcam-start").disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: LONGEST_PX } }, audio: false });
  } catch (error) {
    note(`There is no camera to look through (${error.name}).`);
    byId("webcam-start").disabled = false;
    return;
  }
  const video = byId("webcam-video");
  video.srcObject = stream;
  await video.play();
  byId("webcam").classList.add("on");
  byId("webcam-stop").disabled = false;
  byId("webcam-stop").focus();
  say("The webcam is on.");
  note("");
  watch(stream, video);
}

export function stopWebcam() {
  if (!stream) return;
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  byId("webcam").classList.remove("on");
  byId("webcam-video").srcObject = null;
  byId("webcam-boxes").replaceChildren();
  byId("webcam-verdict").replaceChildren();
  byId("webcam-start").disabled = false;
  if (document.activeElement === byId("webcam-stop")) byId("webcam-start").focus();
  byId("webcam-stop").disabled = true;
  note("");
  say("The webcam is off.");
}

async function watch(mine, video) {
  const canvas = document.createElement("canvas");
  while (stream === mine) {
    const began = performance.now();
    if (!document.hidden && video.videoWidth) {
      const scale = Math.min(1, LONGEST_PX / Math.max(video.videoWidth, video.videoHeight));
      canvas.width = Math.round(video.videoWidth * scale);
      canvas.height = Math.round(video.videoHeight * scale);
      canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
      const jpeg = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.9); });
      try {
        const answer = await fetch("v1/preview", { method: "POST", body: jpeg, headers: { "Content-Type": "image/jpeg", ...token() } });
        const said = await answer.json();
        if (stream !== mine) return;
        if (answer.ok) show(said, (performance.now() - began) / 1000);
        else note(answer.status === 401 ? "This server needs its token: give it above." : said.error);
      } catch {
        note("The server does not answer.");
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, Math.max(100, EVERY_MS - (performance.now() - began))); });
  }
}

function show(said, took) {
  const word = said.label || WORDS[said.status];
  const scored = said.status === "scored";
  byId("webcam-verdict").replaceChildren(
    element("span", { class: `badge ${(said.label || said.status).toLowerCase()}` }, word),
    ...(scored ? [element("b", { class: said.label.toLowerCase() }, said.probability.toFixed(2))] : []));
  note(scored ? `One image, judged in ${took.toFixed(1)} s.` : said.reason);
  const boxes = byId("webcam-boxes");
  boxes.setAttribute("viewBox", `0 0 ${said.width || 1} ${said.height || 1}`);
  boxes.replaceChildren(...said.faces.map(({ box: [x0, y0, x1, y1], probability }) => drawn("rect", {
    class: probability >= said.threshold ? "fake" : "real", x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), rx: 6,
  })));
}

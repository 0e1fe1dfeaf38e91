// Uploads that go on after a cut connection: tus 1.0.0, see docs/serving.md.

const TUS = { "Tus-Resumable": "1.0.0" };
const AGAIN_S = [1, 2, 4, 8, 15, 15, 15];
const SILENT_MS = 20000; // a connection over which nothing moves is given up, and tried again

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// Waits, but not beyond the moment at which the browser is online again.
function pause(ms) {
  return new Promise((resolve) => {
    const end = () => { clearTimeout(timer); window.removeEventListener("online", end); resolve(); };
    const timer = setTimeout(end, ms);
    window.addEventListener("online", end);
  });
}

export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// Sends a file; resolves to the id of its job. `item.cancel` ends it; `progress` is told bytes, and a text while it waits.
export async function send(item, { headers, progress }) {
  let at = null;
  let tries = 0;
  let cancelled = false;
  let request = null;
  item.cancel = () => {
    cancelled = true;
    if (request) request.abort();
    if (at) fetch(at, { method: "DELETE", headers: TUS, keepalive: true }).catch(() => {});
  };
  const check = async (answer) => {
    if (answer.ok) return answer;
    const body = await answer.json().catch(() => ({}));
    throw new Refusal(answer.status, body.error || `was refused (${answer.status})`);
  };
  const patch = (offset) => new Promise((resolve, reject) => {
    request = new XMLHttpRequest();
    request.open("PATCH", at);
    for (const [name, value] of Object.entries(TUS)) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/offset+octet-stream");
    request.setRequestHeader("Upload-Offset", String(offset));
    let silent = setTimeout(() => request.abort(), SILENT_MS);
    const moved = () => { clearTimeout(silent); silent = setTimeout(() => request.abort(), SILENT_MS); };
    request.upload.addEventListener("progress", (event) => { moved(); progress(offset + event.loaded); });
    request.upload.addEventListener("load", () => clearTimeout(silent));
    request.addEventListener("loadend", () => {
      clearTimeout(silent);
      const body = (() => { try { return JSON.parse(request.responseText); } catch { return {}; } })();
      if (request.status === 204) resolve(Number(request.getResponseHeader("Upload-Offset")));
      else if ([0, 408, 409, 499].includes(request.status) || request.status >= 502) reject(new Error("cut"));
      else reject(new Refusal(request.status, body.error || `was refused (${request.status})`));
    });
    request.send(item.file.slice(offset));
  });
  for (;;) {
    if (cancelled) throw new Refusal(0, "was cancelled");
    try {
      let offset = 0;
      if (at) {
        offset = Number((await check(await fetch(at, { method: "HEAD", headers: TUS }))).headers.get("Upload-Offset"));
      } else {
        const about = { "Upload-Length": String(item.file.size), "Upload-Metadata": `filename ${base64(item.name)}` };
        const answer = await check(await fetch("v1/videos", { method: "POST", headers: { ...TUS, ...about, ...headers } }));
        at = answer.headers.get("Location").slice(1);
      }
      progress(offset);
      while (offset < item.file.size) {
        offset = await patch(offset);
        tries = 0;
      }
      item.cancel = null;
      return at.split("/").pop();
    } catch (error) {
      if (cancelled || (error instanceof Refusal && error.status !== 404)) throw error;
      if (error instanceof Refusal) at = null; // it is gone there: from the beginning
      if (tries >= AGAIN_S.length) throw new Refusal(0, "did not arrive: the connection broke too often");
      progress(null, `The connection broke; it goes on in ${AGAIN_S[tries]} s.`);
      await pause(1000 * AGAIN_S[tries]);
      tries += 1;
    }
  }
}

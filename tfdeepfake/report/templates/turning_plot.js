// Points in space on a canvas: they turn by themselves, by dragging and by the arrow keys. Nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("points").textContent);
  const canvas = document.getElementById("plot"), context = canvas.getContext("2d");
  const pick = document.getElementById("colour"), legend = document.getElementById("legend"), pause = document.getElementById("turn");
  const count = data.places.length / 3;
  let across = 0.6, down = 0.35, zoom = 1, turning = !matchMedia("(prefers-reduced-motion: reduce)").matches, held = null;
  const order = new Uint32Array(count), depth = new Float32Array(count), x = new Float32Array(count), y = new Float32Array(count);
  const hue = (k, n) => `hsl(${Math.round(360 * (k * 0.61803 % 1))} ${n > 12 ? 65 : 72}% ${k % 2 ? 42 : 56}%)`;
  const colours = () => {
    const one = data.kinds[pick.value];
    return one.names.map((name, k) => name === data.noise ? "#9aa0a8" : data.own[name] || hue(k, one.names.length));
  };
  function draw() {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const [ca, sa, cd, sd] = [Math.cos(across), Math.sin(across), Math.cos(down), Math.sin(down)], scale = zoom * Math.min(width, height) / 2 / 1000;
    for (let k = 0; k < count; k++) {
      const px = data.places[3 * k], py = data.places[3 * k + 1], pz = data.places[3 * k + 2];
      const turned = ca * pz - sa * px;
      x[k] = width / 2 + scale * (ca * px + sa * pz);
      y[k] = height / 2 + scale * (cd * py - sd * turned);
      depth[k] = sd * py + cd * turned;
      order[k] = k;
    }
    order.sort((a, b) => depth[a] - depth[b]);
    const of = data.kinds[pick.value].of, palette = colours(), size = count > 3000 ? 2 : count > 500 ? 3 : 5;
    for (const k of order) {
      context.globalAlpha = 0.45 + 0.5 * (depth[k] + 1200) / 2400;
      context.fillStyle = palette[of[k]];
      const side = size * (1 + depth[k] / 4000);
      context.fillRect(x[k] - side / 2, y[k] - side / 2, side, side);
    }
    context.globalAlpha = 1;
  }
  function name() {
    const one = data.kinds[pick.value], palette = colours();
    legend.replaceChildren(...one.names.slice(0, 24).map((text, k) => {
      const item = document.createElement("span"), mark = document.createElement("i");
      mark.style.background = palette[k];
      item.append(mark, text);
      return item;
    }), one.names.length > 24 ? `and ${one.names.length - 24} more` : "");
  }
  function step() {
    if (turning && !held) { across += 0.004; draw(); }
    requestAnimationFrame(step);
  }
  const shown = () => { pause.textContent = turning ? "Stop turning" : "Turn"; pause.setAttribute("aria-pressed", turning); };
  pause.addEventListener("click", () => { turning = !turning; shown(); });
  pick.addEventListener("change", () => { name(); draw(); });
  canvas.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    across += (event.clientX - held[0]) / 150; down += (event.clientY - held[1]) / 150;
    held = [event.clientX, event.clientY];
    draw();
  });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom = Math.min(8, Math.max(0.4, zoom * Math.exp(-event.deltaY / 600))); draw(); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (event.key === "+" || event.key === "-") zoom = Math.min(8, Math.max(0.4, zoom * (event.key === "+" ? 1.2 : 1 / 1.2)));
    else if (moves[event.key]) { across += moves[event.key][0]; down += moves[event.key][1]; }
    else return;
    event.preventDefault(); turning = false; shown(); draw();
  });
  addEventListener("resize", draw);
  shown(); name(); draw(); step();
})();

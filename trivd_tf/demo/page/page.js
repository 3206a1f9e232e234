// The demo's page: sends a clip and settings, plays what comes back. Needs nothing from elsewhere.
"use strict";

const $ = (id) => document.getElementById(id);
const PAUSE_AT_END = 4; // frames
let model = null;
let chosenFile = null;
let shown = null; // the prediction on the page, and the request that made it
let running = null; // the request under way

// ---- What the visitor chose ----------------------------------------------------------------

function truncation() {
  const value = Number($("truncation").value);
  return value > 2.05 ? "" : value.toFixed(1);
}

function request() {
  const query = new URLSearchParams({
    seed: $("seed").value.trim(),
    num_samples: $("num_samples").value,
    num_frames: $("num_frames").value,
    truncation: truncation(),
    window: chosenFile ? $("window").value : "first",
    label: model.classes.length ? $("label").value : "",
  });
  if (chosenFile) return { query, body: chosenFile, name: chosenFile.name.replace(/\.[^.]*$/, "") };
  const example = document.querySelector("input[name=example]:checked");
  if (!example) return null;
  query.set("example", example.value);
  return { query, body: null, name: example.value };
}

async function ask(path, { query, body }, signal) {
  let answer;
  try {
    answer = await fetch(`${path}?${query}`, {
      method: "POST",
      headers: { "X-Trivd": "1", "Content-Type": "application/octet-stream" },
      body,
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached, or the file changed meanwhile. Is `trivd demo` still running?");
  }
  if (answer.ok) return answer;
  let text = `The server answered with status ${answer.status}.`;
  try { text = (await answer.json()).error; } catch { /* keep the status */ }
  throw new Error(text.charAt(0).toUpperCase() + text.slice(1));
}

// ---- Messages --------------------------------------------------------------------------------

function say(text) { $("status").textContent = text; }

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
  // On a phone the message may be out of sight.
  if (text) $("error").scrollIntoView({ block: "nearest" });
}

function busy(is) {
  $("result").setAttribute("aria-busy", is);
  $("predict").setAttribute("aria-disabled", is);
  $("predict").textContent = is ? "Predicting…" : "Predict";
}

// ---- Predicting ------------------------------------------------------------------------------

async function predict({ scroll = false } = {}) {
  const asked = request();
  if (!asked) return complain("Choose a video or one of the examples first.");
  const seed = $("seed").value.trim();
  if (!/^\d{1,10}$/.test(seed) || Number(seed) > 2147483647) {
    $("seed").focus();
    return complain("The seed must be a whole number from 0 to 2147483647.");
  }
  if (running) running.abort();
  const own = (running = new AbortController());
  complain("");
  busy(true);
  say("Predicting…");
  const begun = performance.now();
  try {
    const content = await (await ask("api/predict", asked, own.signal)).json();
    const loaded = await load(content);
    if (running !== own) return;
    shown = { ...loaded, asked };
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const count = content.futures.length;
    say(`${count} ${count === 1 ? "future" : "futures"} of ${content.num_frames} frames, in ${seconds} s.`);
    show();
    if (scroll && $("result").getBoundingClientRect().top > innerHeight * 0.6) {
      $("result").scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
    }
  } catch (error) {
    if (error.name === "AbortError" || running !== own) return;
    say(shown ? "Still showing the last prediction." : "Nothing predicted yet.");
    complain(error.message);
  } finally {
    if (running === own) { running = null; busy(false); }
  }
}

function picture(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("The prediction could not be drawn."));
    image.src = address;
  });
}

async function load(content) {
  const all = (list) => Promise.all(list.map(picture));
  return {
    content,
    given: await picture(content.given),
    real: content.real ? await picture(content.real) : null,
    futures: await all(content.futures),
    over: content.motion ? await all(content.motion.over) : [],
  };
}

// ---- Playing ---------------------------------------------------------------------------------

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
let playing = !calm();
let time = 0;
let last = 0;
let held = 0;

function show() {
  const { content, real, futures } = shown;
  const titles = futures.map((_, n) => (futures.length === 1 ? "Future" : `Future ${n + 1}`));
  if (real) titles.unshift("What followed");
  $("panels").replaceChildren(...titles.map(panel));
  $("transport").hidden = false;
  $("time").max = content.num_given + content.num_frames - 1;
  $("bar-given").style.flexGrow = content.num_given;
  $("bar-predicted").style.flexGrow = content.num_frames;
  $("motion-field").hidden = !content.motion;
  if (content.motion) $("largest").textContent = content.motion.largest.toPrecision(2);
  time = calm() ? content.num_given + content.num_frames - 1 : 0;
  setPlaying(playing);
  draw();
}

function panel(title) {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  const name = document.createElement("b");
  const largest = Math.max(model.height, model.width);
  canvas.height = Math.round(384 * model.height / largest);
  canvas.width = Math.round(384 * model.width / largest);
  canvas.setAttribute("role", "img");
  name.textContent = title;
  caption.append(name, document.createElement("span"));
  figure.append(canvas, caption);
  return figure;
}

function draw() {
  if (!shown) return;
  const { content, given, real, futures, over } = shown;
  const { num_given: count, height, width } = content;
  const step = time - count;
  const moving = $("motion").checked && over.length;
  $("panels").childNodes.forEach((figure, index) => {
    const isReal = real && index === 0;
    const future = index - (real ? 1 : 0);
    let strip = given, row = time, kind = "given", text = "conditioning";
    if (step >= 0) {
      row = step;
      strip = isReal ? (step < content.num_real ? real : null) : (moving ? over : futures)[future];
      kind = isReal ? "real" : "predicted";
      text = strip ? `${kind} +${step + 1}` : "clip is over";
    }
    figure.className = kind;
    const canvas = figure.querySelector("canvas");
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (strip) context.drawImage(strip, 0, row * height, width, height, 0, 0, canvas.width, canvas.height);
    else { context.globalAlpha = 0.55; context.fillRect(0, 0, canvas.width, canvas.height); context.globalAlpha = 1; }
    const title = figure.querySelector("b").textContent;
    canvas.setAttribute("aria-label", `${title}: ${text}`);
    figure.querySelector("span").textContent = text;
  });
  $("time").value = time;
  const when = step < 0 ? `conditioning frame ${time + 1} of ${count}` : `predicted +${step + 1} of ${content.num_frames}`;
  $("when").textContent = when;
  $("time").setAttribute("aria-valuetext", when);
}

function setPlaying(is) {
  playing = is;
  $("play").textContent = is ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", is);
}

function tick(now) {
  requestAnimationFrame(tick);
  if (!shown || !playing || now - last < 1000 / Number($("speed").value)) return;
  last = now;
  const end = Number($("time").max);
  if (time >= end && held++ < PAUSE_AT_END) return;
  held = 0;
  time = time >= end ? 0 : time + 1;
  draw();
}

// ---- Downloads -------------------------------------------------------------------------------

async function download(button) {
  if (!shown || button.getAttribute("aria-disabled") === "true") return;
  const kind = button.dataset.download;
  const text = button.textContent;
  button.textContent = `Making the ${kind.toUpperCase()}…`;
  button.setAttribute("aria-disabled", true);
  complain("");
  try {
    const blob = await (await ask(`api/download/${kind}`, shown.asked)).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${shown.asked.name}-seed${shown.asked.query.get("seed")}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`Saved ${link.download}.`);
  } catch (error) {
    complain(error.message);
  } finally {
    button.textContent = text;
    button.setAttribute("aria-disabled", false);
  }
}

// ---- Controls --------------------------------------------------------------------------------

function choose(file) {
  const most = model.limits.upload_bytes;
  complain("");
  if (file.size > most) {
    $("file").value = ""; // what was chosen before stays chosen
    return complain(`${file.name} has ${(file.size / 2 ** 20).toFixed(0)} MB; clips of up to ${(most / 2 ** 20).toFixed(0)} MB are taken. A few seconds of video are plenty.`);
  }
  chosenFile = file;
  const checked = document.querySelector("input[name=example]:checked");
  if (checked) checked.checked = false;
  $("drop").classList.add("chosen");
  const name = document.createElement("strong");
  name.textContent = file.name;
  $("file-name").replaceChildren(name);
  $("window-field").hidden = false;
  predict({ scroll: true });
}

function chooseNone() {
  chosenFile = null;
  $("file").value = "";
  $("drop").classList.remove("chosen");
  const name = document.createElement("strong");
  name.textContent = "Choose a video";
  $("file-name").replaceChildren(name, " or drop it here");
  $("window-field").hidden = true;
}

function showValues() {
  $("num_samples_value").textContent = $("num_samples").value;
  $("num_frames_value").textContent = $("num_frames").value;
  $("truncation_value").textContent = truncation() || "none";
  $("truncation").setAttribute("aria-valuetext", truncation() || "none");
  const beyond = Number($("num_frames").value) > model.horizon;
  $("length-hint").textContent = `frames; trained for ${model.horizon}` + (beyond ? ", then it continues its own" : "");
}

function example({ key, title }) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const image = document.createElement("img");
  label.className = "example";
  Object.assign(input, { type: "radio", name: "example", value: key });
  Object.assign(image, { src: `api/examples/${key}.png`, alt: "" });
  label.append(input, image, title);
  input.addEventListener("change", () => { chooseNone(); predict({ scroll: true }); });
  return label;
}

function connect() {
  $("controls").addEventListener("submit", (event) => { event.preventDefault(); predict({ scroll: true }); });
  $("settings").addEventListener("input", showValues);
  $("dice").addEventListener("click", () => {
    $("seed").value = Math.floor(Math.random() * 100000);
    predict();
  });
  $("file").addEventListener("change", () => { if ($("file").files[0]) choose($("file").files[0]); });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
  }
  document.addEventListener("drop", (event) => { if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]); });
  $("play").addEventListener("click", () => setPlaying(!playing));
  $("time").addEventListener("input", () => { setPlaying(false); time = Number($("time").value); draw(); });
  $("motion").addEventListener("change", () => { $("legend").hidden = !$("motion").checked; draw(); });
  document.querySelectorAll("[data-download]").forEach((button) => button.addEventListener("click", () => download(button)));
}

async function begin() {
  try {
    model = await (await fetch("api/model")).json();
  } catch {
    return complain("The model's description did not arrive. Is `trivd demo` still running?");
  }
  const every = model.stride === 1 ? "" : ` (one in ${model.stride} of the video's)`;
  $("facts").textContent = `${model.title}: ${model.given} conditioning frame${model.given === 1 ? "" : "s"} of ${model.height} × ${model.width} pixels${every}, and what the model draws after them.`;
  $("limits").textContent = `up to ${(model.limits.upload_bytes / 2 ** 20).toFixed(0)} MB; its middle${model.height === model.width ? " square" : ""} is used`;
  $("num_samples").max = model.limits.samples;
  $("num_frames").max = model.limits.frames;
  $("num_frames").value = Math.min(model.horizon, model.limits.frames);
  $("label").replaceChildren(...model.classes.map((name, index) => new Option(name, index)));
  $("label-field").hidden = !model.classes.length;
  $("examples").replaceChildren(...model.examples.map(example));
  chooseNone();
  showValues();
  connect();
  requestAnimationFrame(tick);
  document.querySelector("input[name=example]").checked = true;
  predict();
}

begin();

"use strict";

const TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif"];
const SIDE = 440; // pixels of a displayed image, longer side
const MAX_NAMES = 5; // of classes in the text of a prediction set
const find = (selector, within = document) => within.querySelector(selector);

let token = ""; // bearer token, kept in memory only

async function request(address, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(address, { ...options, headers });
  if (response.status !== 401) return response;
  token = prompt("This server requires a token:") ?? "";
  return token ? request(address, options) : response;
}

async function describeModel() {
  const response = await request("model");
  if (!response.ok) return;
  const model = await response.json();
  find("#about").textContent = `Recognizes only these classes: ${model.classes.join(", ")}.`;
  find("#accuracy").textContent = `${accuracy(model)} Trained with the recipe ${model.recipe} on ${model.dataset}.`;
  find("#not-for").replaceChildren(...[...model.notes, ...model.not_for].map((sentence) => element("li", sentence)));
}

const listOf = new Intl.ListFormat("en-US", { type: "disjunction" });
const percent = (fraction) => `${(100 * fraction).toFixed(1)}%`;

function accuracy(model) {
  if (model.task === "multi-label") {
    if (model.mean_average_precision === null) return "Mean average precision: not measured.";
    return `Mean average precision: ${percent(model.mean_average_precision)} on ${model.evaluated_on}.`;
  }
  if (model.accuracy === null) return "Accuracy: not measured.";
  const [low, high] = model.accuracy_ci95.map(percent);
  return `Accuracy: ${percent(model.accuracy)} on ${model.evaluated_on} (95% confidence interval ${low} to ${high}).`;
}

function element(name, text) {
  const created = document.createElement(name);
  created.textContent = text;
  return created;
}

async function classify(file, name) {
  const result = find("#result").content.cloneNode(true).firstElementChild;
  find("figcaption", result).textContent = name;
  find(".prediction", result).textContent = "Classifying …";
  find("#results").prepend(result);
  if (!TYPES.includes(file.type)) return fail(result, `${name}: is not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image. Choose another file.`);
  try {
    const response = await request("predict?top=3&explain=true", { method: "POST", body: file, headers: { "Content-Type": file.type } });
    const body = await response.json();
    if (!response.ok) return fail(result, body.reason ?? "The server returned an error.");
    show(result, body, name);
  } catch {
    fail(result, "The server does not respond. Check that it is running.");
  }
  if (!find(".explanation", result).hidden) return;
  const image = await createImageBitmap(file).catch(() => null);
  if (image) draw(find("canvas", result), image, null, 0);
}

function fail(result, reason) {
  const heading = find(".prediction", result);
  heading.textContent = reason;
  heading.classList.add("failed");
  find("#status").textContent = reason;
}

function show(result, prediction, name) {
  const heading = find(".prediction", result);
  heading.textContent = headline(prediction);
  heading.classList.toggle("unsure", prediction.unsure === true);
  heading.classList.toggle("unknown", prediction.unlike_training === true);
  find("#status").textContent = `${name}: ${heading.textContent}`;
  const set = find(".set", result), classes = prediction.prediction_set ?? [];
  set.hidden = classes.length < 2 && !prediction.unlike_training;
  const shown = classes.length > MAX_NAMES ? [...classes.slice(0, MAX_NAMES - 1), `${classes.length - MAX_NAMES + 1} more`] : classes;
  set.textContent = prediction.unlike_training ? "This image is unlike the training images." : `${listOf.format(shown)} (95%)`;
  find(".bars", result).replaceChildren(...prediction.top.map(bar));
  find("canvas", result).setAttribute("aria-label", `${name}: ${heading.textContent}`);
  if (prediction.explanation) explain(result, prediction.explanation);
}

function headline(prediction) {
  const labels = prediction.labels?.map((label) => label.name).join(", ");
  const guess = labels ?? prediction.top[0].name;
  if (prediction.unlike_training) return guess ? `Unknown, perhaps ${guess}` : "Unknown";
  return prediction.unsure ? `Unsure, perhaps ${guess}` : guess || "No label";
}

function bar(choice) {
  const line = document.createElement("li"), probability = percent(choice.probability);
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = choice.probability;
  progress.setAttribute("aria-label", `${choice.name} ${probability}`);
  line.append(element("span", choice.name), element("span", probability), progress);
  return line;
}

async function explain(result, explanation) {
  const section = find(".explanation", result), slider = find("input", section), canvas = find("canvas", result);
  section.hidden = false;
  const image = new Image();
  image.src = explanation.image;
  await image.decode();
  const overlay = heatmap(explanation.occlusion_map);
  const redraw = () => draw(canvas, image, overlay, slider.value / 100);
  slider.addEventListener("input", redraw);
  redraw();
  const similar = find(".similar", section);
  similar.hidden = explanation.neighbors.length === 0;
  find("ul", similar).replaceChildren(...explanation.neighbors.map(neighborItem));
}

function neighborItem(neighbor) {
  const line = document.createElement("li"), image = new Image();
  image.src = neighbor.image;
  image.alt = "";
  line.append(image, element("span", neighbor.label));
  return line;
}

/* The "inferno" colormap, as in the plots of `tinysight explain`: black, purple, orange, yellow. */
const COLORS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

function heatmap(rows) {
  const canvas = document.createElement("canvas"), height = rows.length, width = rows[0].length;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  rows.flat().forEach((value, index) => image.data.set([...color(value), 60 + 195 * value], 4 * index));
  context.putImageData(image, 0, 0);
  return canvas;
}

function color(value) {
  const position = value * (COLORS.length - 1), below = Math.min(COLORS.length - 2, Math.floor(position)), fraction = position - below;
  return COLORS[below].map((channel, index) => channel + fraction * (COLORS[below + 1][index] - channel));
}

function draw(canvas, image, overlay, opacity) {
  const scale = SIDE / Math.max(image.width, image.height), context = canvas.getContext("2d");
  canvas.width = Math.round(image.width * scale);
  canvas.height = Math.round(image.height * scale);
  context.imageSmoothingEnabled = image.width > SIDE;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (!overlay) return;
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = true;
  context.drawImage(overlay, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
}

const classifyAll = (files) => [...files].forEach((file, index) => classify(file, file.name || `image ${index + 1}`));

const drop = find("#drop"), input = find("#files");
find("#choose").addEventListener("click", () => input.click());
input.addEventListener("change", () => { classifyAll(input.files); input.value = ""; });
document.addEventListener("paste", (event) => classifyAll(event.clipboardData.files));
for (const kind of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") classifyAll(event.dataTransfer.files);
  });
}

let stream = null;
const video = find("#video"), live = find("#live");

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  live.hidden = true;
}

find("#camera").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = stream;
    await video.play(); // the first frame must be there before it can be captured
    live.hidden = false;
    find("#capture").focus();
  } catch {
    find("#status").textContent = "The camera is missing or blocked. Choose an image file instead.";
  }
});
find("#stop").addEventListener("click", stopCamera);
find("#capture").addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => classify(blob, "camera image"), "image/jpeg", 0.92);
});

describeModel().catch(() => {});

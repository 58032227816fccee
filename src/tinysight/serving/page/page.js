"use strict";

const KINDS = ["image/jpeg", "image/png", "image/webp"];
const SIDE = 440; // pixels of a shown picture
const find = (selector, within = document) => within.querySelector(selector);

let token = ""; // what the server may want to hear, kept in this page alone

async function request(address, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(address, { ...options, headers });
  if (answer.status !== 401) return answer;
  token = prompt("This server wants a token:") ?? "";
  return token ? request(address, options) : answer;
}

async function introduce() {
  const answer = await request("model");
  if (!answer.ok) return;
  const facts = await answer.json();
  const rate = facts.accuracy === null ? "how often it is right, nobody has measured" : `right ${(100 * facts.accuracy).toFixed(1)} % of the time on test pictures`;
  find("#about").textContent = `It knows ${facts.classes.join(", ")}, and nothing else; ${rate}. (${facts.recipe} on ${facts.dataset})`;
  find("#not-for").replaceChildren(...[...facts.remarks, ...facts.not_for].map((sentence) => element("li", sentence)));
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

async function ask(file, name) {
  const result = find("#result").content.cloneNode(true).firstElementChild;
  find("figcaption", result).textContent = name;
  find(".verdict", result).textContent = "Looking …";
  find("#results").prepend(result);
  if (!KINDS.includes(file.type)) return fail(result, `${name} is no JPEG, PNG or WebP picture.`);
  try {
    const answer = await request("predict?top=3&explain=true", { method: "POST", body: file, headers: { "Content-Type": file.type } });
    const found = await answer.json();
    if (!answer.ok) return fail(result, found.reason ?? "There is no answer.");
    show(result, found, name);
  } catch {
    fail(result, "The server does not answer; is it still running?");
  }
  if (!find(".why", result).hidden) return;
  const picture = await createImageBitmap(file).catch(() => null);
  if (picture) draw(find("canvas", result), picture, null, 0);
}

function fail(result, reason) {
  const verdict = find(".verdict", result);
  verdict.textContent = reason;
  verdict.classList.add("failed");
  find("#status").textContent = reason;
}

function show(result, found, name) {
  const first = found.top[0].name, verdict = find(".verdict", result);
  verdict.textContent = found.unsure ? `Unsure, perhaps ${first}` : first;
  verdict.classList.toggle("unsure", found.unsure);
  find("#status").textContent = `${name}: ${verdict.textContent}`;
  find(".bars", result).replaceChildren(...found.top.map(bar));
  find("canvas", result).setAttribute("aria-label", `${name}: ${verdict.textContent}`);
  if (found.explanation) explain(result, found.explanation);
}

function bar(choice) {
  const line = document.createElement("li"), percent = `${(100 * choice.probability).toFixed(1)} %`;
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = choice.probability;
  progress.setAttribute("aria-label", `${choice.name} ${percent}`);
  line.append(element("span", choice.name), element("span", percent), progress);
  return line;
}

async function explain(result, explanation) {
  const why = find(".why", result), slider = find("input", why), canvas = find("canvas", result);
  why.hidden = false;
  const picture = new Image();
  picture.src = explanation.picture;
  await picture.decode();
  const heat = heatPicture(explanation.heat);
  const redraw = () => draw(canvas, picture, heat, slider.value / 100);
  slider.addEventListener("input", redraw);
  redraw();
  const alike = find(".alike", why);
  alike.hidden = explanation.neighbours.length === 0;
  find("ul", alike).replaceChildren(...explanation.neighbours.map(neighbour));
}

function neighbour(one) {
  const line = document.createElement("li"), picture = new Image();
  picture.src = one.picture;
  picture.alt = "";
  line.append(picture, element("span", one.label));
  return line;
}

/* From cold to hot as in the pictures of `tinysight explain`: black, purple, orange, yellow. */
const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

function heatPicture(rows) {
  const canvas = document.createElement("canvas"), height = rows.length, width = rows[0].length;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  rows.flat().forEach((value, place) => image.data.set([...colour(value), 60 + 195 * value], 4 * place));
  context.putImageData(image, 0, 0);
  return canvas;
}

function colour(value) {
  const place = value * (COLOURS.length - 1), below = Math.min(COLOURS.length - 2, Math.floor(place)), share = place - below;
  return COLOURS[below].map((channel, index) => channel + share * (COLOURS[below + 1][index] - channel));
}

function draw(canvas, picture, heat, share) {
  const scale = SIDE / Math.max(picture.width, picture.height), context = canvas.getContext("2d");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  context.imageSmoothingEnabled = picture.width > SIDE;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (!heat) return;
  context.globalAlpha = share;
  context.imageSmoothingEnabled = true;
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
}

const askAll = (files) => [...files].forEach((file, index) => ask(file, file.name || `picture ${index + 1}`));

const drop = find("#drop"), input = find("#files");
find("#choose").addEventListener("click", () => input.click());
input.addEventListener("change", () => { askAll(input.files); input.value = ""; });
document.addEventListener("paste", (event) => askAll(event.clipboardData.files));
for (const kind of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") askAll(event.dataTransfer.files);
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
    await video.play(); // before there is a picture, there is nothing to take
    live.hidden = false;
    find("#shoot").focus();
  } catch {
    find("#status").textContent = "There is no camera, or it may not be used; choose a picture instead.";
  }
});
find("#stop").addEventListener("click", stopCamera);
find("#shoot").addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => ask(blob, "from the camera"), "image/jpeg", 0.92);
});

introduce().catch(() => {});

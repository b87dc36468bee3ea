// The form of the page: sends what is written in it, and shows the answer as it comes.
const form = document.querySelector("form");
const answer = document.getElementById("answer");
const shown = document.getElementById("shown");
const status = form.elements.status;
const stop = form.elements.stop;
const asked = new URLSearchParams(location.search);
let running = null;

if (form.elements.id) {
  form.elements.id.value = asked.get("fal_key_id") || "";
  form.elements.secret.value = asked.get("fal_key_secret") || "";
}
if (asked.has("fal_key_id")) document.querySelector('a[href="openapi.json"]').search = location.search;

function headers() {
  const made = {};
  const id = form.elements.id && form.elements.id.value.trim();
  if (id) {
    made["X-Fal-Key-Id"] = id;
    made["X-Fal-Key-Secret"] = form.elements.secret.value.trim();
  }
  return made;
}

// The body and its content type: a form when files were chosen, else the JSON as it was written.
function body() {
  const text = form.elements.body ? form.elements.body.value : "";
  const inputs = [...form.querySelectorAll("input[type=file]")].filter((input) => input.files.length);
  if (!inputs.length) return [text, "application/json"];
  const made = new FormData();
  for (const [name, value] of Object.entries(text.trim() ? JSON.parse(text) : {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      made.append(name, typeof one === "string" ? one : JSON.stringify(one));
    }
  }
  for (const input of inputs) {
    for (const file of input.files) made.append(input.dataset.name, file, file.name);
  }
  return [made, null];
}

function show(text) {
  answer.hidden = false;
  answer.textContent += text;
}

async function read(response, kind) {
  if (!/^text\/|json/.test(kind)) {
    const link = document.createElement(kind.startsWith("image/") ? "img" : "a");
    link[link.tagName === "IMG" ? "src" : "href"] = URL.createObjectURL(await response.blob());
    link.textContent = "Save the answer";
    link.download = "answer";
    shown.replaceChildren(link);
    return;
  }
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    show(decoder.decode(value, { stream: true }));
  }
}

async function call() {
  const [content, kind] = body();
  const sent = headers();
  if (kind) sent["Content-Type"] = kind;
  const target = new URL(".", location.origin + location.pathname);
  const began = performance.now();
  const response = await fetch(target, { method: "POST", headers: sent, body: content, signal: running.signal });
  const type = response.headers.get("content-type") || "";
  const took = () => `${response.status}, ${type}, ${Math.round(performance.now() - began)} ms`;
  status.value = took();
  await read(response, type);
  status.value = took();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running) running.abort();
  running = new AbortController();
  const mine = running;
  answer.textContent = "";
  answer.hidden = true;
  shown.replaceChildren();
  status.value = "calling…";
  stop.disabled = false;
  try {
    await call();
  } catch (error) {
    if (mine === running) status.value = mine.signal.aborted ? "stopped" : String(error.message || error);
  }
  if (mine === running) {
    stop.disabled = true;
    running = null;
  }
});

stop.addEventListener("click", () => running && running.abort());

"use strict";
// Everything that comes from documents is set as text, never as markup.

const ALL_RULES = "*";
const state = { samples: [], place: -1, shown: null, drawn: null, asked: 0 };
const byId = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "onchange") made[name] = value;
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

async function ask(address, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(address, options);
  const found = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error(found.error || answer.statusText);
  return found;
}

function say(text, bad = false) {
  byId("said").textContent = text;
  byId("said").className = bad ? "bad" : "";
}

function verdict(row) {
  if (!row.reason) return el("span", { class: "verdict" }, "kept");
  const limit = row.limit === null ? "" : ` (limit ${number(row.limit)})`;
  const value = row.value === null ? "" : `: ${number(row.value)}${limit}`;
  return el("span", { class: "verdict drop" }, `dropped by ${row.stage}, ${row.reason}${value}`);
}

const number = (value) =>
  typeof value === "number" ? String(Math.round(value * 10000) / 10000) : String(value);

function listSamples() {
  const done = state.samples.filter((row) => row.labels).length;
  byId("count").textContent = `${done} of ${state.samples.length} documents have labels`;
  byId("samples").replaceChildren(...state.samples.map((row, place) => el("li", {},
    el("button", {
      type: "button", "aria-current": String(place === state.place), onclick: () => open(place),
    },
    el("div", {}, row.title || row.url), el("div", { class: "quiet" }, row.url), verdict(row),
    row.labels ? el("div", { class: "quiet" }, `${row.labels} labels`) : null))));
}

async function open(place) {
  if (place < 0 || place >= state.samples.length) return;
  state.place = place;
  const turn = ++state.asked;
  listSamples();
  byId("samples").children[place].scrollIntoView({ block: "nearest" });
  try {
    const found = await ask(`/api/documents/${encodeURIComponent(state.samples[place].id)}`);
    if (turn !== state.asked) return; // another was chosen meanwhile
    state.shown = found;
    draw();
    byId("document").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  } catch (error) {
    say(`The document cannot be shown: ${error.message}`, true);
  }
}

function labelled(rule, block, fired) {
  const found = state.shown.labels.find((one) =>
    one.rule === rule && one.block === block && one.fired === fired);
  return found === undefined ? null : found.is_right;
}

async function give(label) {
  const shown = state.shown;
  try {
    const saved = await ask("/api/labels", { document: shown.id, ...label });
    const same = (one) => one.rule === saved.rule && one.block === saved.block && one.fired === saved.fired;
    shown.labels = [...shown.labels.filter((one) => !same(one)), saved];
    const row = state.samples.find((one) => one.id === shown.id);
    row.labels = shown.labels.length;
    say("Saved.");
    listSamples();
    if (state.shown === shown) draw();
  } catch (error) {
    say(`Not saved: ${error.message}`, true);
  }
}

function choices(rule, block, text) {
  const now = labelled(rule, block, true);
  const button = (name, isRight) => el("button", {
    type: "button", class: "choice", "aria-pressed": String(now === isRight),
    "aria-label": `${rule} was ${name.toLowerCase()}`,
    onclick: () => give({ rule, block, fired: true, is_right: isRight, text: text.slice(0, 400) }),
  }, name);
  return el("span", { class: "row" }, button("Right", true), button("Wrong", false));
}

function missed(block, text) {
  const shown = state.shown;
  const given = shown.labels.find((one) => one.block === block && !one.fired && !one.is_right);
  const select = el("select", {
    "aria-label": "A rule should have changed this block",
    onchange: async (event) => {
      const rule = event.target.value;
      const about = { block, fired: false, text: text.slice(0, 400) };
      if (given) await give({ ...about, rule: given.rule, is_right: true }); // takes it back
      if (rule) await give({ ...about, rule, is_right: false });
    },
  }, el("option", { value: "" }, "Should have gone by …"),
  ...shown.rules.map((rule) => el("option", { value: rule.id }, `${rule.number} ${rule.id}`)));
  if (given) select.value = given.rule;
  return select;
}

function difference(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (end < before.length - start && end < after.length - start
    && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const cut = (text, from, to) => text.slice(from, text.length - to);
  return el("div", { class: "text" }, before.slice(0, start), el("del", {}, cut(before, start, end)),
    el("ins", {}, cut(after, start, end)), before.slice(before.length - end));
}

function drawEdit(edit, place, says) {
  const gone = edit.after === null;
  return el("div", { class: "edit", "data-rule": edit.rule },
    el("div", { class: "row said" },
      el("strong", {}, `${says.number} ${edit.rule}`),
      el("span", { class: "quiet" }, `${says.says} (pass ${edit.round})`),
      choices(edit.rule, place, edit.before)),
    gone ? el("div", { class: "text" }, el("del", {}, edit.before)) : difference(edit.before, edit.after));
}

function drawBlock(block, place) {
  const gone = block.edits.some((edit) => edit.after === null);
  const changed = block.edits.length > 0;
  if (!changed && byId("changed").checked) return null;
  const names = ["card", "block", block.kind, gone ? "gone" : changed ? "changed" : ""];
  const says = (rule) => state.shown.rules.find((one) => one.id === rule) || { number: "", says: "" };
  const made = el("section", { class: names.join(" ").trim(), "data-block": String(place) },
    el("span", { class: "kind" }, block.level ? `${block.kind} ${block.level}` : block.kind));
  if (block.image) made.append(drawImage(block.image));
  else if (!changed) made.append(el("div", { class: "text" }, block.text));
  made.append(...block.edits.map((edit) => drawEdit(edit, place, says(edit.rule))));
  if (!changed && state.shown.by_rules) made.append(el("div", {}, missed(place, block.text)));
  return made;
}

function drawImage(image) {
  const picture = image.name
    ? el("img", { src: `/images/${image.name}`, alt: image.alt || "image without a text", loading: "lazy" })
    : el("span", { class: "quiet" }, "image not kept on this disk");
  const told = [image.url, image.size, image.dropped && `removed: ${image.dropped}`, image.alt];
  return el("figure", { class: "block" }, picture,
    el("figcaption", { class: "quiet" }, told.filter(Boolean).join(" · ")));
}

function drawScores(scores) {
  const rows = Object.entries(scores).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) =>
    el("tr", {}, el("td", {}, name), el("td", {}, value === null ? "not measured" : number(value))));
  return el("details", { class: "card" }, el("summary", {}, "Measured values"), el("table", {}, ...rows));
}

function draw() {
  const shown = state.shown;
  const main = byId("document");
  // a label draws the document anew: who works by keyboard stays where they were
  const controls = () => [...main.querySelectorAll("button, select, summary")];
  const focused = controls().indexOf(document.activeElement);
  const isOpen = state.drawn === shown.id && main.querySelector("details")?.open;
  const spared = labelled(ALL_RULES, null, false);
  const parts = [
    el("h2", {}, shown.title || shown.url),
    el("p", { class: "url" }, [shown.url, shown.lang, shown.captured].filter(Boolean).join(" · ")),
    el("div", { class: "card row", id: "verdict" }, verdict(shown),
      shown.reason ? choices(shown.reason, null, shown.title) : null,
      shown.reasons.length > 1
        ? el("span", { class: "quiet" }, `all reasons: ${shown.reasons.map((one) => one.reason).join(", ")}`)
        : null),
    drawScores(shown.scores),
    ...shown.blocks.map(drawBlock),
  ];
  if (shown.by_rules) parts.push(el("p", {}, el("button", {
    type: "button", class: "choice", id: "rest", "aria-pressed": String(spared === true),
    onclick: () => give({
      rule: ALL_RULES, block: null, fired: false, is_right: true, rules_fired: shown.rules_fired,
    }),
  }, "Nothing else should have gone")));
  main.replaceChildren(...parts.filter((part) => part !== null));
  main.querySelector("details").open = Boolean(isOpen);
  if (state.drawn === shown.id) controls()[focused]?.focus({ preventScroll: true });
  state.drawn = shown.id;
}

byId("changed").onchange = () => state.shown && draw();
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "j") open(state.place + 1);
  if (event.key === "k") open(state.place - 1);
});

ask("/api/samples").then((found) => {
  state.samples = found;
  listSamples();
  open(0);
}).catch((error) => say(`No documents: ${error.message}`, true));

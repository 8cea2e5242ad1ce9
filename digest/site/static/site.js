// What a browser adds to the pages: a list of saved papers, sharing, and shortcuts. Every
// page works without it; what needs it is hidden until it runs.

// -- saved papers: arXiv ids in this browser, newest first ---------------------------

const KEY = "saved-papers";
const WORDS = document.currentScript.dataset; // in the page's language

function saved() {
  try {
    const ids = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}

function showSaved(scope = document) {
  const ids = new Set(saved());
  for (const button of scope.querySelectorAll("button.save")) {
    const is = ids.has(button.dataset.paper);
    button.hidden = false;
    button.setAttribute("aria-pressed", String(is));
    button.firstElementChild.textContent = is ? WORDS.saved : WORDS.save;
  }
}

function toggle(button) {
  const id = button.dataset.paper;
  const ids = saved();
  const rest = ids.filter((other) => other !== id);
  try {
    localStorage.setItem(KEY, JSON.stringify(rest.length < ids.length ? rest : [id, ...ids]));
  } catch {
    button.firstElementChild.textContent = WORDS.notSaved;
    return;
  }
  showSaved();
}

async function fillSavedPage(list) {
  const ids = saved().slice(0, Number(list.dataset.most));
  if (!ids.length || new URLSearchParams(location.search).has("ids")) return;
  const answer = await fetch(`${list.dataset.page}?ids=${ids.join(",")}`);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  list.replaceChildren(...page.getElementById("saved-list").childNodes);
  showSaved(list);
}

// A reader's own list, behind the link to the preferences: offer to hand this one over.
function offerSaved(form) {
  const ids = saved();
  if (!ids.length) return;
  form.elements.ids.value = ids.slice(0, Number(form.dataset.most)).join(" ");
  form.querySelector("b").textContent = ids.length;
  form.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button.save");
  if (button) toggle(button);
});
window.addEventListener("storage", () => showSaved());
showSaved();
const list = document.getElementById("saved-list");
if (list) fillSavedPage(list).catch(() => {});
const here = document.getElementById("saved-here");
if (here) offerSaved(here);

// -- share ---------------------------------------------------------------------------

const share = document.getElementById("share");
if (share && (navigator.share || navigator.clipboard)) {
  share.hidden = false;
  if (navigator.share) share.textContent = WORDS.share;
  share.addEventListener("click", async () => {
    const { title, url } = share.dataset;
    try {
      if (navigator.share) return await navigator.share({ title, url });
      await navigator.clipboard.writeText(url);
      share.textContent = WORDS.copied;
    } catch { /* the reader closed the dialog, or does not allow it */ }
  });
}

// -- shortcuts -----------------------------------------------------------------------

const shortcuts = document.getElementById("shortcuts");
const show = document.getElementById("show-shortcuts");
if (show && shortcuts?.showModal) {
  show.hidden = false;
  show.addEventListener("click", () => shortcuts.showModal());
}

function currentPaper() {
  return document.activeElement?.closest?.(".paper");
}

function step(by) {
  const papers = [...document.querySelectorAll(".paper")];
  const here = papers.indexOf(currentPaper());
  const next = papers[here < 0 ? (by > 0 ? 0 : -1) : here + by];
  next?.querySelector("h3 a").focus();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  o: () => {
    const abstract = currentPaper()?.querySelector("details");
    if (abstract) abstract.open = !abstract.open;
  },
  s: () => (currentPaper() ?? document).querySelector("button.save")?.click(),
  "/": () => {
    const box = document.querySelector("input[type=search]");
    if (box) box.focus();
    else location.assign(`${document.querySelector("nav a[href$='/search/']").href}#q`);
  },
  "?": () => shortcuts?.showModal?.(),
  ArrowLeft: () => document.querySelector("nav.turn a[rel=prev]")?.click(),
  ArrowRight: () => document.querySelector("nav.turn a[rel=next]")?.click(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.(
    "input, select, textarea, pre, dialog[open], [contenteditable]",
  );
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

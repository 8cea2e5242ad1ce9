// Shows what has changed of a page without reloading it: the part marked data-live, every five
// seconds while somebody looks. Not while they are at it: a focus or an opened detail would go.

const EVERY = 5000;

async function refresh() {
  const part = document.querySelector("[data-live]");
  if (document.hidden || part.contains(document.activeElement) || part.querySelector("details[open]")) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-live]");
  if (!fresh) return;
  // What comes after the part, such as the next step's form, is not there yet.
  if (part.querySelector("progress") && !fresh.querySelector("progress")) location.reload();
  else part.replaceChildren(...fresh.childNodes);
}

setInterval(() => refresh().catch(() => {}), EVERY);

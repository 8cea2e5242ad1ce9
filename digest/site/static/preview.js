// Shows, while a reader fills in a form, what those preferences would have brought. The
// button beside it shows the same without this script.
const form = document.querySelector("form[data-preview]");
const NOT_SENT = ["email", "website", "opened", "proof", "shown"]; // no preferences
const PAUSE = 700; // milliseconds without typing

if (form) {
  const place = form.querySelector(".preview");
  let timer;
  let last = "";
  let asked = 0;

  async function show() {
    const data = new URLSearchParams(new FormData(form));
    for (const name of NOT_SENT) data.delete(name);
    if (data.toString() === last) return;
    last = data.toString();
    const mine = ++asked;
    const answer = await fetch(form.dataset.preview, { method: "POST", body: data });
    if (mine !== asked || !answer.ok) return; // asked anew since, or not yet valid
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const link of page.querySelectorAll("#outlook a")) link.target = "_blank";
    place.replaceChildren(...page.getElementById("outlook").childNodes);
  }

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(() => show().catch(() => {}), PAUSE);
  };
  // The first look, while they read, also loads in the server what the next ones need. It
  // takes a hand at the form: a program that opens all links of a mail asks for nothing.
  form.addEventListener("focusin", later, { once: true });
  form.addEventListener("pointermove", later, { once: true });
  form.addEventListener("input", later);
}

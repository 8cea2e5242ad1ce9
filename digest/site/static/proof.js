// Solves our own proof of work (ALTCHA, SHA-256) while a form is being filled in. Where
// this cannot run the form is sent all the same; its mail may then take a little longer.
async function solve(url) {
  const { challenge, salt, maxNumber, ...rest } = await (await fetch(url)).json();
  const encoder = new TextEncoder();
  for (let number = 0; number <= maxNumber; number++) {
    const bytes = await crypto.subtle.digest("SHA-256", encoder.encode(salt + number));
    const hex = Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, "0"));
    if (hex.join("") === challenge) {
      return btoa(JSON.stringify({ challenge, salt, number, ...rest }));
    }
  }
  return "";
}

for (const form of document.querySelectorAll("form[data-challenge]")) {
  const field = form.elements.proof;
  let work = null;
  const begin = () => {
    work ??= Promise.race([
      solve(form.dataset.challenge),
      new Promise((give) => setTimeout(give, 15000, "")),
    ]).then((proof) => { field.value = proof; }, () => {});
    return work;
  };
  form.addEventListener("focusin", begin, { once: true });
  form.addEventListener("submit", async (event) => {
    if (field.value || form.dataset.done || !window.crypto?.subtle) return;
    event.preventDefault();
    await begin();
    form.dataset.done = "yes";
    form.requestSubmit(event.submitter);
  });
  window.addEventListener("pageshow", () => { delete form.dataset.done; });
}

// Chooses the reader's own time zone in a sign-up form that is still untouched. One that the
// list lacks is added, as the site takes any name that browsers know.
for (const select of document.querySelectorAll("select[data-guess-timezone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) continue;
  if (![...select.options].some((option) => option.value === zone)) {
    select.prepend(new Option(zone.replaceAll("_", " "), zone));
  }
  select.value = zone;
}

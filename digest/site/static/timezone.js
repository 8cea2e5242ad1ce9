// Chooses the reader's own time zone in a sign-up form that is still untouched.
for (const select of document.querySelectorAll("select[data-guess-timezone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...select.options].some((option) => option.value === zone)) select.value = zone;
}

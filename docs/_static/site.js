// The theme's toggles of the sidebar have an icon and no name; a screen reader needs one.
document.addEventListener("DOMContentLoaded", () => {
  for (const toggle of document.querySelectorAll("summary:not([aria-label])")) {
    const link = toggle.closest("li")?.querySelector("a");
    if (link) toggle.setAttribute("aria-label", `Pages below ${link.textContent.trim()}`);
  }
});

/** Keeps the input above the keyboard of a phone, where that lies over the page instead of shrinking it. */

export function fitAboveKeyboard() {
  const viewport = window.visualViewport;
  viewport?.addEventListener("resize", () => {
    if (Math.abs(viewport.scale - 1) > 0.01) return; // zoomed in by the user
    document.documentElement.style.setProperty("--height", `${viewport.height}px`);
    scrollTo(0, 0);
  });
}

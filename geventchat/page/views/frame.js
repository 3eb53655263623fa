/** Draws once for each frame, however often something changed; in a hidden tab a few times a second. */

const HIDDEN_MS = 200;

/**
 * @param {() => void} draw
 * @returns {() => void} asks for it to be called soon
 */
export function oncePerFrame(draw) {
  let asked = false;
  const run = () => {
    asked = false;
    draw();
  };
  return () => {
    if (asked) return;
    asked = true;
    if (document.hidden) setTimeout(run, HIDDEN_MS);
    else requestAnimationFrame(run);
  };
}

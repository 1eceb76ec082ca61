// A slider over the figures of each cell tagged "frames". Without it, the last one shows.
document.addEventListener("DOMContentLoaded", () => {
  for (const output of document.querySelectorAll(".tag_frames .cell_output")) {
    const frames = [...output.children];
    if (frames.length < 2) continue;
    const row = document.createElement("label");
    const slider = document.createElement("input");
    const place = document.createElement("output");
    const show = () => {
      const chosen = Number(slider.value);
      frames.forEach((frame, i) => {
        frame.style.display = i + 1 === chosen ? "block" : "none";
      });
      place.textContent = `${chosen} / ${frames.length}`;
    };
    Object.assign(slider, { type: "range", min: 1, max: frames.length });
    slider.value = frames.length;
    slider.setAttribute("aria-label", "frame");
    row.className = "frames";
    row.append(slider, place);
    output.prepend(row);
    slider.addEventListener("input", show);
    show();
  }
});

// A figure is drawn when it is about to be seen, in the page's own ink, and anew when the page turns dark or light.
const ink = () => getComputedStyle(document.body).color;
const plots = [...document.querySelectorAll(".plot")];

function draw(place) {
  const { data, layout } = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  layout.font.color = ink();
  Plotly.newPlot(place, data, layout, { responsive: true, displaylogo: false });
}

const near = new IntersectionObserver(
  (found) => found.filter((one) => one.isIntersecting).forEach((one) => { near.unobserve(one.target); draw(one.target); }),
  { rootMargin: "400px" },
);
plots.forEach((place) => near.observe(place));
addEventListener("beforeprint", () => plots.filter((place) => !place.layout).forEach(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  plots.filter((place) => place.layout).forEach((place) => Plotly.relayout(place, { "font.color": ink() })));

document.getElementById("device").addEventListener("change", (event) => {
  const wanted = event.target.value;
  for (const part of document.querySelectorAll("[data-devices]"))
    part.hidden = wanted !== "" && !JSON.parse(part.dataset.devices).includes(wanted);
});

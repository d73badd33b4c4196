// A figure is drawn when it is about to scroll into view, in the page's text colour.
// Its colour follows when the page turns dark or light.
const textColor = () => getComputedStyle(document.body).color;
const plots = [...document.querySelectorAll(".plot")];

function draw(plot) {
  const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
  layout.font.color = textColor();
  Plotly.newPlot(plot, data, layout, { responsive: true, displaylogo: false });
}

const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      observer.unobserve(entry.target);
      draw(entry.target);
    }
  },
  { rootMargin: "400px" },
);
plots.forEach((plot) => observer.observe(plot));
addEventListener("beforeprint", () => plots.filter((plot) => !plot.layout).forEach(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of plots.filter((plot) => plot.layout))
    Plotly.relayout(plot, { "font.color": textColor() });
});

document.getElementById("device").addEventListener("change", (event) => {
  const device = event.target.value;
  for (const element of document.querySelectorAll("[data-devices]"))
    element.hidden = device !== "" && !JSON.parse(element.dataset.devices).includes(device);
});

(function () {
  "use strict";
  var tip = document.getElementById("tip");
  function show(event) {
    var mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("data-tip");
    var x = Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8);
    var y = event.clientY + 16;
    if (y + tip.offsetHeight > window.innerHeight) y = event.clientY - tip.offsetHeight - 10;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = Math.max(4, y) + "px";
  }
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("click", function (event) {
    var key = event.target.closest("button");
    if (!key) return;
    if (key.id === "theme") {
      var root = document.documentElement;
      var dark = root.dataset.theme ? root.dataset.theme === "dark"
        : window.matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
    } else if (key.dataset.series !== undefined) {
      var on = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(on));
      key.closest(".chart").querySelector('svg g[data-series="' + key.dataset.series + '"]')
        .classList.toggle("off", !on);
    } else if (key.dataset.sort) {
      sort(key);
    }
  });
  function sort(key) {
    var by = key.dataset.sort;
    var section = key.closest("section");
    section.querySelectorAll("[data-sort]").forEach(function (other) {
      other.setAttribute("aria-pressed", String(other === key));
    });
    var list = section.querySelector(".layers");
    Array.from(list.children).sort(function (a, b) {
      var difference = Number(a.dataset[by]) - Number(b.dataset[by]);
      return by === "index" ? difference : -difference;
    }).forEach(function (layer) { list.appendChild(layer); });
  }
})();

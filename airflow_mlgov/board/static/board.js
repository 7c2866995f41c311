// Follows Airflow's own switch between light and dark, which is a class on the page around this one.
"use strict";
(function () {
  var root = document.documentElement;
  function outer() {
    try { return window.parent !== window ? window.parent.document.documentElement : null; } catch (_) { return null; }
  }
  function follow() {
    var around = outer(), word = "";
    try { word = (around && around.className.match(/\b(dark|light)\b/) || [""])[0] || localStorage.getItem("theme") || ""; } catch (_) { word = ""; }
    if (word === "dark" || word === "light") { root.dataset.theme = word; } else { delete root.dataset.theme; }
  }
  follow();
  if (window.parent !== window) { root.classList.add("framed"); }
  var around = outer();
  if (around) { new MutationObserver(follow).observe(around, { attributes: true, attributeFilter: ["class"] }); }
  window.addEventListener("storage", follow);
})();

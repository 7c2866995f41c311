// A card on Airflow's home page: the models that need somebody.
"use strict";
(function () {
  var React = globalThis.React, h = React.createElement;
  var src = document.currentScript && document.currentScript.src;
  function base() {
    var from = src || (document.querySelector("base") || {}).href || location.origin + "/";
    return src ? from.replace(/card\.js.*$/, "") : new URL("mlgov/", from).href;
  }
  var colours = { deny: "#b3141f, #ff9c99", overdue: "#b3141f, #ff9c99", waiting: "#0a5fb4, #8cc4ff" };
  function Card() {
    var state = React.useState(null), said = state[0], set = state[1];
    React.useEffect(function () {
      fetch(base() + "card.json", { credentials: "same-origin" })
        .then(function (answer) { return answer.ok ? answer.json() : { failed: answer.status }; })
        .then(set, function () { set({ failed: "no answer" }); });
    }, []);
    var box = { border: "1px solid color-mix(in srgb, currentColor 18%, transparent)", borderRadius: 8, padding: "14px 18px", margin: "8px 0" };
    function note(text) { return h("p", { style: { margin: "6px 0" } }, text); }
    var body;
    if (!said) { body = note("…"); }
    else if (said.failed) { body = note("The board gives no answer (" + said.failed + ")."); }
    else if (said.problem) { body = note("The ledger does not hold: " + said.problem); }
    else if (!said.models.length) { body = note(said.complete ? "No model needs somebody." : "The ledger is being read."); }
    else {
      body = h("ul", { style: { listStyle: "none", padding: 0, margin: "6px 0" } }, said.models.map(function (one, number) {
        var query = new URLSearchParams({ model: one.model, version: one.version, environment: one.environment, target: one.target });
        return h("li", { key: number, style: { padding: "4px 0" } },
          h("a", { href: base() + "story?" + query, style: { fontWeight: 600, textDecoration: "underline" } }, one.model + " version " + one.version),
          " ", h("span", { style: { fontWeight: 600, color: colours[one.state] && "light-dark(" + colours[one.state] + ")" } }, one.word),
          one.why ? h("span", { style: { opacity: .8 } }, ": " + (one.why.length > 140 ? one.why.slice(0, 139) + "…" : one.why)) : null);
      }), said.total > said.models.length ? h("li", { key: "more", style: { padding: "4px 0", opacity: .8 } }, "and " + (said.total - said.models.length) + " more") : null);
    }
    return h("section", { style: box, "aria-label": "ML governance" },
      h("h3", { style: { fontWeight: 600, fontSize: 16, margin: 0 } }, "Models that need somebody"), body,
      h("a", { href: base() + "board", style: { textDecoration: "underline", fontSize: 14 } }, "Governance board"));
  }
  globalThis["ML governance"] = Card;
})();

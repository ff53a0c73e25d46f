// The report page: which view is shown, its headline, curves and tables, and the theme.
"use strict";

(() => {
  const { makeElement } = MedrEpisode;
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const views = new MedrAnswers.AnswerViews(report);
  const main = document.getElementById("content");
  const THEME_KEY = "medr-report-theme";
  // The list keeps its filters, its order and its place while an answer is read.
  const kept = new Map();

  function drawOverview(container) {
    for (const headline of report.headlines) container.append(drawHeadline(headline));
    const curves = report.curves.filter((curve) => curve.points.length > 0);
    if (curves.length > 0) {
      const grid = makeElement("div", { class: "charts" });
      for (const curve of curves) grid.append(MedrCharts.drawCurve(curve, curve.step));
      container.append(makeElement("section", {}, makeElement("h2", {}, "Training"), grid));
    }
    const tables = makeElement("section", {}, makeElement("h2", {}, "Figures"));
    for (const table of report.tables) tables.append(MedrTables.drawTable(table));
    container.append(tables);
  }

  function drawHeadline(headline) {
    const confidence = `${Math.round(100 * headline.confidence)} %`;
    const section = makeElement("section", { class: "headline" }, makeElement("h2", {}, headline.title));
    section.append(MedrCharts.drawIntervals(headline.models, confidence));
    for (const sentence of headline.sentences) section.append(makeElement("p", {}, sentence));
    return section;
  }

  const VIEWS = {
    overview: (container) => drawOverview(container),
    answers: (container) => views.drawList(container),
    answer: (container, path) => views.drawAnswer(container, path[0]),
    compare: (container, path) => views.drawComparison(container, path),
  };
  const KEPT_VIEWS = new Set(["overview", "answers"]);
  const SECTION_OF_VIEW = { answer: "answers" };

  // Show what the address says behind "#": a view, and the numbers of what it shows.
  function showView() {
    const [name, ...rest] = location.hash.slice(1).split("/");
    const view = Object.hasOwn(VIEWS, name) ? name : "overview";
    if (!kept.has(view) || !KEPT_VIEWS.has(view)) {
      const container = makeElement("div", { class: `view view-${view}` });
      kept.set(view, container);
      main.replaceChildren(container);
      VIEWS[view](container, rest.map(Number));
    } else {
      main.replaceChildren(kept.get(view));
    }
    for (const link of document.querySelectorAll("nav a")) {
      const isCurrent = link.getAttribute("href") === `#${SECTION_OF_VIEW[view] ?? view}`;
      if (isCurrent) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    scrollTo(0, 0);
  }

  // Pages that are files have no storage in some browsers; the theme then lasts while the page does.
  function readStoredTheme() {
    try {
      return localStorage.getItem(THEME_KEY) ?? "";
    } catch (error) {
      console.info(`the theme is not remembered: ${error.message}`);
      return "";
    }
  }

  function storeTheme(theme) {
    try {
      localStorage.setItem(THEME_KEY, theme);
    } catch (error) {
      console.info(`the theme is not remembered: ${error.message}`);
    }
  }

  function setTheme(theme) {
    if (theme === "") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  function startTheme() {
    const select = document.getElementById("theme");
    select.value = readStoredTheme();
    setTheme(select.value);
    select.addEventListener("change", () => {
      setTheme(select.value);
      storeTheme(select.value);
    });
  }

  startTheme();
  addEventListener("hashchange", () => {
    showView();
    // A reader by keyboard goes on where the new view begins.
    main.focus({ preventScroll: true });
  });
  showView();
  document.documentElement.dataset.ready = "true";
})();

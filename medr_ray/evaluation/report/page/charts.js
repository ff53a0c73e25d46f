// Charts as inline SVG: curves of training with bands, and shares with their intervals.
"use strict";

const MedrCharts = (() => {
  const { makeElement } = MedrEpisode;
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 200; // pixels, of a curve with its axes
  const MARGIN = { left: 64, right: 12, top: 10, bottom: 28 }; // pixels, for the labels of the axes
  const TICKS = 4; // of the upright axis, about
  const TICK_WIDTH = 60; // pixels between two labels of the level axis, at least
  const FIRST_WIDTH = 420; // pixels, until the page has been laid out

  function makeShape(name, attributes, text) {
    const shape = document.createElementNS(SVG, name);
    for (const [attribute, value] of Object.entries(attributes)) shape.setAttribute(attribute, value);
    if (text !== undefined) shape.textContent = text;
    return shape;
  }

  // Round numbers from at or below `low` to at or above `high`: 1, 2 or 5 times a power of ten apart.
  function chooseTicks(low, high) {
    const spread = high - low || Math.abs(high) || 1;
    const rough = spread / TICKS;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const first = Math.floor(low / step);
    const last = Math.ceil(high / step);
    const ticks = [];
    for (let number = first; number <= last; number += 1) ticks.push(number * step);
    return ticks;
  }

  function formatTick(value) {
    return Number(value.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 });
  }

  // A curve over its steps. `curve` has a title, `points` of [x, y] and, where values spread, a
  // `band` of [x, low, high]. It is drawn anew when its place changes its width.
  function drawCurve(curve, stepName) {
    const place = makeElement("div", { class: "chart-place" });
    const caption = makeElement("figcaption", {}, describeCurve(curve, stepName));
    const figure = makeElement("figure", { class: "chart" }, makeElement("h3", {}, curve.title), place, caption);
    let width = 0;
    const redraw = () => {
      const next = place.clientWidth || FIRST_WIDTH;
      if (next === width) return;
      width = next;
      place.replaceChildren(drawCurveAtWidth(curve, stepName, width));
    };
    redraw();
    new ResizeObserver(redraw).observe(place);
    return figure;
  }

  function describeCurve(curve, stepName) {
    const points = curve.points;
    const first = formatTick(points[0][1]);
    const last = formatTick(points[points.length - 1][1]);
    const spread = curve.band.length > 0 ? `; the band is ${curve.bandMeaning}` : "";
    const count = points.length === 1 ? `1 ${stepName}` : `${points.length} ${stepName}s`;
    return `${count}: from ${first} to ${last}${spread}.`;
  }

  function drawCurveAtWidth(curve, stepName, width) {
    const values = [...curve.points.map((point) => point[1]), ...curve.band.flatMap((row) => row.slice(1))];
    const ticks = chooseTicks(Math.min(...values), Math.max(...values));
    const steps = curve.points.map((point) => point[0]);
    const lowStep = steps[0];
    const stepSpread = steps[steps.length - 1] - lowStep || 1;
    const lowest = ticks[0];
    const spread = ticks[ticks.length - 1] - lowest;
    const innerWidth = width - MARGIN.left - MARGIN.right;
    const innerHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
    const placeX = (step) => MARGIN.left + ((step - lowStep) / stepSpread) * innerWidth;
    const placeY = (value) => MARGIN.top + innerHeight - ((value - lowest) / spread) * innerHeight;
    const label = `${curve.title}: ${describeCurve(curve, stepName)}`;
    const image = makeShape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label });
    drawAxes(image, { ticks, steps, placeX, placeY, width, stepName });
    if (curve.band.length > 1) {
      const upper = curve.band.map((row) => `${placeX(row[0])},${placeY(row[2])}`);
      const lower = curve.band.map((row) => `${placeX(row[0])},${placeY(row[1])}`).reverse();
      image.append(makeShape("polygon", { class: "chart-band", points: [...upper, ...lower].join(" ") }));
    }
    const line = curve.points.map((point) => `${placeX(point[0])},${placeY(point[1])}`).join(" ");
    image.append(makeShape("polyline", { class: "chart-line", points: line }));
    for (const [step, value] of curve.points) {
      const dot = makeShape("circle", { class: "chart-dot", cx: placeX(step), cy: placeY(value), r: 3 });
      dot.append(makeShape("title", {}, `${stepName} ${step}: ${formatTick(value)}`));
      image.append(dot);
    }
    return image;
  }

  function drawAxes(image, { ticks, steps, placeX, placeY, width, stepName }) {
    for (const tick of ticks) {
      const y = placeY(tick);
      image.append(makeShape("line", { class: "chart-grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }));
      image.append(makeShape("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, formatTick(tick)));
    }
    const room = Math.max(1, Math.floor((width - MARGIN.left - MARGIN.right) / TICK_WIDTH));
    const every = Math.ceil(steps.length / room);
    steps.forEach((step, index) => {
      if (index % every !== 0) return;
      image.append(makeShape("text", { x: placeX(step), y: HEIGHT - 8, "text-anchor": "middle" }, formatTick(step)));
    });
    image.append(makeShape("title", {}, `by ${stepName}`));
  }

  // As the other reports round: a half goes to the even digit.
  function formatShare(share) {
    const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1, roundingMode: "halfEven" };
    return `${(100 * share).toLocaleString("en", digits)} %`;
  }

  // A line for each model: its share as a dot on the bar of its interval, from 0 to 100 %.
  function drawIntervals(models, confidence) {
    const list = makeElement("ul", { class: "intervals" });
    for (const model of models) list.append(drawInterval(model, confidence));
    return list;
  }

  function drawInterval(model, confidence) {
    const name = makeElement("span", { class: "interval-name" }, model.name);
    if (model.value === null) {
      return makeElement("li", {}, name, makeElement("span", { class: "interval-words" }, "no scored answer"));
    }
    const bar = makeElement("span", { class: "interval-bar" });
    bar.style.left = `${100 * model.low}%`;
    bar.style.width = `${100 * (model.high - model.low)}%`;
    const dot = makeElement("span", { class: "interval-dot" });
    dot.style.left = `${100 * model.value}%`;
    const track = makeElement("span", { class: "interval-track", "aria-hidden": "true" }, bar, dot);
    const range = `${formatShare(model.low).replace(" %", "")} to ${formatShare(model.high)}`;
    const counts = `${model.n} scored${model.unscored > 0 ? `, ${model.unscored} unscored` : ""}`;
    const words = makeElement(
      "span",
      { class: "interval-words" },
      makeElement("b", {}, formatShare(model.value)),
      ` (${confidence} interval ${range}; ${counts})`,
    );
    return makeElement("li", {}, name, track, words);
  }

  return { drawCurve, drawIntervals, formatShare };
})();

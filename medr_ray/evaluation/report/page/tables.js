// Tables that can be sorted by a column and filtered by words.
"use strict";

const MedrTables = (() => {
  const { makeElement } = MedrEpisode;
  const FILTERED_FROM = 8; // rows: a shorter table is read at a glance
  const FIRST_ROWS = 20; // that are drawn until the reader asks for all
  const NUMBER = /^-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?/;

  // The number that a cell begins with; null where it begins with none ("-", words).
  function readNumber(cell) {
    const match = NUMBER.exec(cell);
    return match === null ? null : Number(match[0].replaceAll(",", ""));
  }

  function isNumberColumn(rows, index) {
    const cells = rows.map((row) => row[index]).filter((cell) => cell !== "-" && cell !== "");
    return cells.length > 0 && cells.every((cell) => NUMBER.test(cell));
  }

  // Orders two values; what is missing comes last whichever the direction.
  function compareValues(first, second, direction) {
    const isFirstMissing = first === null || first === undefined;
    const isSecondMissing = second === null || second === undefined;
    if (isFirstMissing || isSecondMissing) return Number(isFirstMissing) - Number(isSecondMissing);
    if (typeof first === "number" && typeof second === "number") return direction * (first - second);
    return direction * String(first).localeCompare(String(second), "en", { numeric: true });
  }

  // The head of a table whose columns sort it: `onSort(index, direction)`. Each column has a `name`
  // and `isNumber`.
  function makeSortableHead(columns, onSort) {
    const row = makeElement("tr");
    const heads = columns.map((column, index) => {
      const button = makeElement("button", { type: "button", class: "sort" }, column.name);
      const kind = column.isNumber ? "number" : null;
      const head = makeElement("th", { scope: "col", class: kind, "aria-sort": "none" }, button);
      button.addEventListener("click", () => {
        const isRising = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", isRising ? "ascending" : "descending");
        onSort(index, isRising ? 1 : -1);
      });
      row.append(head);
      return head;
    });
    return makeElement("thead", {}, row);
  }

  // A cell that says its column's name on narrow screens, where a row becomes a card.
  function makeCell(column, ...children) {
    const kind = column.isNumber ? "number" : column.isWord ? "word" : null;
    return makeElement("td", { class: kind, "data-column": column.name }, ...children);
  }

  // A table of finished texts: { title, columns, rows, notes }.
  function drawTable(table) {
    const section = makeElement("section", { class: "block" }, makeElement("h3", {}, table.title));
    if (table.rows.length > 0) section.append(...drawTableParts(table));
    for (const note of table.notes) section.append(makeElement("p", { class: "note" }, note));
    return section;
  }

  function drawTableParts(table) {
    const columns = table.columns.map((name, index) => ({ name, isNumber: isNumberColumn(table.rows, index) }));
    const body = makeElement("tbody");
    let rows = [...table.rows];
    let words = "";
    let rowCount = FIRST_ROWS;
    const all = makeElement("button", { type: "button" }, "Show all rows");
    const redraw = () => {
      const kept = rows.filter((row) => row.join(" ").toLowerCase().includes(words));
      body.replaceChildren(...kept.slice(0, rowCount).map((row) => makeTextRow(columns, row)));
      all.hidden = kept.length <= rowCount;
    };
    all.addEventListener("click", () => {
      rowCount = rows.length;
      redraw();
    });
    const head = makeSortableHead(columns, (index, direction) => {
      const read = columns[index].isNumber ? readNumber : (cell) => cell;
      rows.sort((first, second) => compareValues(read(first[index]), read(second[index]), direction));
      redraw();
    });
    redraw();
    const parts = [];
    if (table.rows.length >= FILTERED_FROM) {
      parts.push(
        makeSearchField(`Filter ${table.title}`, "Filter rows", (text) => {
          words = text.toLowerCase();
          redraw();
        }),
      );
    }
    parts.push(makeElement("table", { "aria-label": table.title }, head, body), all);
    return parts;
  }

  function makeTextRow(columns, row) {
    return makeElement("tr", {}, ...columns.map((column, index) => makeCell(column, row[index])));
  }

  function makeSearchField(label, placeholder, onInput) {
    const input = makeElement("input", { type: "search", "aria-label": label, placeholder });
    input.addEventListener("input", () => onInput(input.value));
    return input;
  }

  return { drawTable, makeSortableHead, makeCell, makeSearchField, compareValues };
})();

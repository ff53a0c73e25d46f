// The answers: their table with filters, one answer with its whole episode, two side by side.
"use strict";

const MedrAnswers = (() => {
  const { makeElement, shorten, formatSeconds, openEpisode } = MedrEpisode;
  const { makeCell, makeSortableHead, makeSearchField, compareValues } = MedrTables;
  const PAGE_ROWS = 100; // of the table that are drawn at a time
  const QUESTION_WIDTH = 140; // characters of a question or an answer in the table
  const OPTION_WIDTH = 100; // characters of a question in the list to choose from
  const NO_VALUE = "none";

  // What answers are filtered by: a label, and the values that an answer has.
  const FILTERS = {
    run: { label: "Run", read: (answer) => [answer.run] },
    benchmark: { label: "Benchmark", read: (answer) => [answer.task.benchmark] },
    model: { label: "Model", read: (answer) => [answer.model] },
    verdict: { label: "Verdict", read: (answer) => [answer.verdict] },
    hops: { label: "Hops", read: (answer) => [answer.task.hops === null ? NO_VALUE : String(answer.task.hops)] },
    source: { label: "Source", read: (answer) => (answer.sources.length > 0 ? answer.sources : [NO_VALUE]) },
    tool: { label: "Tool", read: (answer) => (answer.tools.length > 0 ? answer.tools : [NO_VALUE]) },
    stop: { label: "Ended by", read: (answer) => [answer.stop] },
  };

  // The columns: what is shown, and what is sorted by where that is not the text.
  const COLUMNS = [
    { name: "Question", read: (answer) => answer.task.text, draw: drawQuestionLink },
    { name: "Benchmark", read: (answer) => answer.task.benchmark, isOptional: true },
    { name: "Run", read: (answer) => answer.run, isOptional: true },
    { name: "Model", read: (answer) => answer.model },
    { name: "Rollout", read: (answer) => answer.rollout, isNumber: true, isOptional: true },
    { name: "Answer", read: (answer) => answer.prediction, draw: drawPrediction },
    { name: "Verdict", read: (answer) => answer.verdict, draw: (answer) => drawVerdict(answer.verdict) },
    { name: "Hops", read: (answer) => answer.task.hops, isNumber: true, isOptional: true },
    { name: "Calls", read: (answer) => answer.calls, isNumber: true },
    { name: "Tokens", read: (answer) => answer.tokens, isNumber: true },
    { name: "Seconds", read: (answer) => answer.seconds, isNumber: true, draw: (answer) => answer.seconds.toFixed(1) },
    { name: "USD", read: (answer) => answer.cost, isNumber: true, isOptional: true, draw: drawCost },
    { name: "Ended by", read: (answer) => answer.stop, isWord: true },
  ];

  function drawQuestionLink(answer) {
    const text = shorten(answer.task.text, QUESTION_WIDTH);
    return makeElement("a", { href: `#answer/${answer.number}`, lang: answer.task.language, dir: "auto" }, text);
  }

  function drawPrediction(answer) {
    if (answer.prediction === null) {
      return makeElement("span", { class: "faint" }, answer.task.isSecret ? "withheld" : "no answer");
    }
    return makeElement("span", { dir: "auto" }, shorten(answer.prediction, QUESTION_WIDTH));
  }

  function drawVerdict(verdict) {
    const mark = { correct: "✓", incorrect: "✗" }[verdict] ?? "?";
    return makeElement("span", { class: `verdict verdict-${verdict}` }, `${mark} ${verdict}`);
  }

  function drawCost(answer) {
    return answer.cost === null ? "-" : answer.cost.toFixed(4);
  }

  // The trajectories, which stand deflated in the page or in files beside it.
  class TrajectoryStore {
    constructor(files) {
      this.files = files;
      this.packedByNumber = new Map();
      this.loads = new Map();
      // A file of trajectories calls this with the number of its first and their texts.
      window.storeTrajectories = (first, texts) => {
        texts.forEach((text, index) => this.packedByNumber.set(first + index, text));
      };
    }

    // The events of a trajectory.
    async open(number) {
      const packed = await this.find(number);
      const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      return new Response(stream).json();
    }

    async find(number) {
      const element = document.getElementById(`trajectory-${number}`);
      if (element !== null) return element.textContent;
      const file = this.files.find((row) => number >= row.first && number < row.first + row.count);
      await this.load(file.name);
      return this.packedByNumber.get(number);
    }

    // Load a file by a script element, which also works where the page is a file itself.
    load(name) {
      if (!this.loads.has(name)) {
        const script = makeElement("script");
        const loading = new Promise((resolve, reject) => {
          script.addEventListener("load", resolve);
          script.addEventListener("error", () => {
            this.loads.delete(name); // to be tried again
            reject(new Error(`${name} is missing beside this page`));
          });
        });
        script.src = approveScript(name);
        document.head.append(script);
        this.loads.set(name, loading);
      }
      return this.loads.get(name);
    }
  }

  // Only files that the page itself lists may become scripts.
  function approveScript(name) {
    const createScriptURL = (text) => {
      if (!/^trajectories-\d+\.js$/.test(text)) throw new TypeError(`not a file of this report: ${text}`);
      return text;
    };
    if (!window.trustedTypes) return createScriptURL(name);
    approveScript.policy ??= window.trustedTypes.createPolicy("report-data", { createScriptURL });
    return approveScript.policy.createScriptURL(name);
  }

  class AnswerViews {
    constructor(report) {
      this.answers = report.answers.map((answer, number) => ({
        ...answer,
        number,
        task: report.tasks[answer.task],
        verdict: answer.scores[0]?.verdict ?? "unscored",
      }));
      this.tasks = report.tasks;
      this.store = new TrajectoryStore(report.files);
      this.listed = this.answers;
      this.columns = COLUMNS.filter((column) => !column.isOptional || this.countValues(column.read) > 1);
    }

    countValues(read) {
      return new Set(this.answers.map(read)).size;
    }

    // --- the table

    drawList(container) {
      const selects = {};
      const filters = makeElement("div", { class: "filters", role: "search", "aria-label": "Filter the answers" });
      const count = makeElement("p", { class: "count", role: "status" });
      const body = makeElement("tbody");
      const more = makeElement("button", { type: "button" }, `Show ${PAGE_ROWS} more`);
      let words = "";
      let rowCount = PAGE_ROWS;
      let order = null;
      const redraw = () => {
        this.listed = this.answers.filter((answer) => matchesWords(answer, words) && matchesSelects(answer, selects));
        if (order !== null) {
          const { read, direction } = order;
          this.listed.sort((first, second) => compareValues(read(first), read(second), direction));
        }
        body.replaceChildren(...this.listed.slice(0, rowCount).map((answer) => this.drawRow(answer)));
        more.hidden = this.listed.length <= rowCount;
        count.textContent = describeAnswers(this.listed);
      };
      const restart = () => {
        rowCount = PAGE_ROWS;
        redraw();
      };
      filters.append(
        makeLabelled("Words", makeSearchField("Words in question or answer", "in question or answer", (text) => {
          words = text.toLowerCase();
          restart();
        })),
      );
      for (const [name, filter] of Object.entries(FILTERS)) {
        const values = countFilterValues(this.answers, filter.read);
        if (values.size < 2) continue;
        selects[name] = makeFilterSelect(values);
        selects[name].addEventListener("change", restart);
        filters.append(makeLabelled(filter.label, selects[name]));
      }
      const clear = makeElement("button", { type: "button" }, "Clear");
      clear.addEventListener("click", () => {
        words = "";
        for (const field of filters.querySelectorAll("select, input")) field.value = "";
        restart();
      });
      filters.append(clear);
      more.addEventListener("click", () => {
        rowCount += PAGE_ROWS;
        redraw();
      });
      const head = makeSortableHead(this.columns, (index, direction) => {
        order = { read: this.columns[index].read, direction };
        redraw();
      });
      redraw();
      const table = makeElement("table", { class: "answers", "aria-label": "Answers" }, head, body);
      container.append(makeElement("h2", {}, "Answers"), filters, count, table, more);
    }

    drawRow(answer) {
      const cells = this.columns.map((column) => {
        const content = column.draw ? column.draw(answer) : writeCell(column.read(answer));
        return makeCell(column, content);
      });
      return makeElement("tr", {}, ...cells);
    }

    // --- an answer

    drawAnswer(container, number) {
      const answer = this.answers[number];
      if (answer === undefined) {
        container.append(makeElement("p", {}, `There is no answer number ${number}.`));
        return;
      }
      const place = this.listed.indexOf(answer);
      const bar = makeElement("p", { class: "steps" }, makeElement("a", { href: "#answers" }, "All answers"));
      appendStep(bar, "Previous", this.listed[place - 1], place > 0);
      appendStep(bar, "Next", this.listed[place + 1], place >= 0 && place + 1 < this.listed.length);
      const others = this.answers.filter((other) => other.task === answer.task && other !== answer);
      if (others.length > 0) {
        const task = this.tasks.indexOf(answer.task);
        const target = `#compare/${task}/${answer.number}/${others[0].number}`;
        bar.append(makeElement("a", { href: target }, "Compare"));
      }
      container.append(bar, drawTask(answer.task), this.drawEpisode(answer));
    }

    // What was answered, the verdicts beside each other, and the episode.
    drawEpisode(answer) {
      const section = makeElement("section", { class: "answer", "aria-label": `Answer of ${nameAnswer(answer)}` });
      section.append(makeElement("h3", {}, nameAnswer(answer)), drawScores(answer), drawFacts(answer));
      if (answer.trajectory === null) {
        const reason = answer.task.isSecret
        ? "The episode is withheld: the texts of this benchmark are not to be published."
        : "There is no trajectory: infrastructure failed.";
      section.append(makeElement("p", { class: "note" }, reason));
        return section;
      }
      const place = makeElement("div", {}, makeElement("p", { class: "note" }, "Opening…"));
      const toggle = makeElement("button", { type: "button", "aria-pressed": "false" }, "Open all steps");
      section.append(toggle, place);
      this.store.open(answer.trajectory).then(
        (events) => {
          place.replaceChildren();
          const view = openEpisode(place);
          for (const event of events) view.add(event);
          toggle.addEventListener("click", () => {
            const isOpen = toggle.getAttribute("aria-pressed") !== "true";
            toggle.setAttribute("aria-pressed", String(isOpen));
            toggle.textContent = isOpen ? "Close all steps" : "Open all steps";
            view.openAll(isOpen);
          });
        },
        (error) => {
          place.replaceChildren(makeElement("p", { role: "alert" }, `The trajectory cannot be read: ${error.message}`));
        },
      );
      return section;
    }

    // --- two answers to a question, side by side

    // `path` has the numbers of a question and of two answers to it; a missing one is chosen.
    drawComparison(container, path) {
      const compared = this.listCompared();
      const given = this.tasks[path[0]];
      const task = compared.includes(given) ? given : compared[0];
      container.append(makeElement("h2", {}, "Side by side"));
      if (task === undefined) {
        container.append(makeElement("p", {}, "No question has two answers to compare."));
        return;
      }
      const answers = this.answers.filter((answer) => answer.task === task);
      const left = answers.find((answer) => answer.number === path[1]) ?? answers[0];
      const rest = answers.filter((answer) => answer !== left);
      const right = rest.find((answer) => answer.number === path[2]) ?? rest[rest.length - 1];
      container.append(this.drawChoices(task, compared, left, right, answers), drawTask(task));
      const columns = makeElement("div", { class: "columns" });
      columns.append(this.drawEpisode(left), this.drawEpisode(right));
      container.append(columns);
    }

    // The questions that more than one answer was given to.
    listCompared() {
      const counts = new Map();
      for (const answer of this.answers) counts.set(answer.task, (counts.get(answer.task) ?? 0) + 1);
      return this.tasks.filter((task) => counts.get(task) > 1);
    }

    drawChoices(task, compared, left, right, answers) {
      const taskNumber = (each) => this.tasks.indexOf(each);
      const goTo = (taskIndex, first, second) => {
        location.hash = `compare/${[taskIndex, first, second].join("/")}`;
      };
      const describe = (each) => [taskNumber(each), shorten(each.text, OPTION_WIDTH)];
      const question = makeSelect(compared.map(describe), taskNumber(task));
      question.addEventListener("change", () => {
        // The same models of the next question, where both have answered it.
        const next = this.answers.filter((answer) => answer.task === this.tasks[Number(question.value)]);
        const first = next.find((answer) => isSameSource(answer, left)) ?? next[0];
        const second = next.find((answer) => isSameSource(answer, right)) ?? next[next.length - 1];
        goTo(question.value, first.number, second.number);
      });
      const options = answers.map((answer) => [answer.number, `${nameAnswer(answer)}: ${answer.verdict}`]);
      const first = makeSelect(options, left.number);
      const second = makeSelect(options, right.number);
      first.addEventListener("change", () => goTo(taskNumber(task), first.value, second.value));
      second.addEventListener("change", () => goTo(taskNumber(task), first.value, second.value));
      return makeElement(
        "div",
        { class: "filters" },
        makeLabelled("Question", question, "wide"),
        makeLabelled("Left", first),
        makeLabelled("Right", second),
      );
    }
  }

  function matchesWords(answer, words) {
    if (words === "") return true;
    const text = `${answer.task.text}\n${answer.task.id}\n${answer.task.answer}\n${answer.prediction ?? ""}`;
    return text.toLowerCase().includes(words);
  }

  function matchesSelects(answer, selects) {
    return Object.entries(selects).every(([name, select]) => {
      return select.value === "" || FILTERS[name].read(answer).includes(select.value);
    });
  }

  function countFilterValues(answers, read) {
    const counts = new Map();
    for (const answer of answers) {
      for (const value of read(answer)) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    return counts;
  }

  function makeFilterSelect(counts) {
    const values = [...counts.keys()].sort((first, second) => compareValues(first, second, 1));
    return makeSelect([["", "all"], ...values.map((value) => [value, `${value} (${counts.get(value)})`])], "");
  }

  function makeSelect(options, chosen) {
    const select = makeElement("select");
    for (const [value, label] of options) select.append(makeElement("option", { value }, label));
    select.value = String(chosen);
    return select;
  }

  function makeLabelled(label, field, kind = null) {
    return makeElement("label", { class: kind }, makeElement("span", {}, label), field);
  }

  function writeCell(value) {
    if (value === null || value === undefined) return "-";
    return typeof value === "number" ? value.toLocaleString("en") : value;
  }

  function appendStep(bar, label, answer, isThere) {
    if (isThere) bar.append(makeElement("a", { href: `#answer/${answer.number}` }, label));
  }

  function isSameSource(first, second) {
    return first.run === second.run && first.model === second.model && first.rollout === second.rollout;
  }

  function nameAnswer(answer) {
    const parts = [answer.run, answer.model].filter((part) => part);
    if (answer.rollout > 0) parts.push(`rollout ${answer.rollout}`);
    return parts.join(" · ");
  }

  // How many of the answers are right, of those that are scored.
  function describeAnswers(answers) {
    const correct = answers.filter((answer) => answer.verdict === "correct").length;
    const scored = answers.filter((answer) => answer.verdict !== "unscored").length;
    const noun = answers.length === 1 ? "answer" : "answers";
    const parts = [`${answers.length.toLocaleString("en")} ${noun}`];
    if (scored > 0) parts.push(`${correct} of ${scored} scored are correct (${MedrCharts.formatShare(correct / scored)})`);
    if (answers.length > scored) parts.push(`${answers.length - scored} unscored`);
    const seconds = answers.reduce((sum, answer) => sum + answer.seconds, 0);
    if (answers.length > 0) parts.push(`${(seconds / answers.length).toFixed(1)} s each`);
    const costs = answers.map((answer) => answer.cost).filter((cost) => cost !== null);
    if (costs.length > 0) {
      const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
      parts.push(`${mean.toFixed(4)} USD each`);
    }
    return `${parts.join("; ")}.`;
  }

  function drawTask(task) {
    const section = makeElement("section", { class: "task", "aria-label": "Question" });
    section.append(makeElement("h2", { lang: task.language, dir: "auto", class: "question" }, task.text));
    const facts = makeElement("dl", { class: "facts" });
    appendFact(facts, "Expected answer", task.answer);
    for (const [name, value] of task.metadata) appendFact(facts, name, value);
    appendFact(facts, "Benchmark", task.benchmark);
    appendFact(facts, "Id", task.id);
    section.append(facts);
    if (task.aliases.length > 0) {
      const title = `Also right: ${task.aliases.length} other ${task.aliases.length === 1 ? "name" : "names"}`;
      const names = makeElement("p", { dir: "auto" }, task.aliases.join("; "));
      section.append(makeElement("details", { class: "aliases" }, makeElement("summary", {}, title), names));
    }
    return section;
  }

  function appendFact(facts, name, value) {
    if (value === "" || value === null) return;
    facts.append(makeElement("div", {}, makeElement("dt", {}, name), makeElement("dd", { dir: "auto" }, value)));
  }

  function drawFacts(answer) {
    const facts = makeElement("dl", { class: "facts" });
    appendFact(facts, "Ended by", answer.stop);
    if (answer.calls !== null) appendFact(facts, "Calls of tools", String(answer.calls));
    appendFact(facts, "Tokens written", answer.tokens.toLocaleString("en"));
    appendFact(facts, "Time", formatSeconds(answer.seconds));
    if (answer.cost !== null) appendFact(facts, "Cost", `${answer.cost.toFixed(4)} USD`);
    appendFact(facts, "Sources", answer.sources.join(", "));
    return facts;
  }

  // The verdict of every scorer, one beside the other.
  function drawScores(answer) {
    const list = makeElement("ul", { class: "scores", "aria-label": "Verdicts" });
    for (const score of answer.scores) {
      const item = makeElement("li", {}, makeElement("b", {}, score.scorer), " ", drawVerdict(score.verdict));
      if (score.value !== null && score.value > 0 && score.value < 1) item.append(` ${score.value.toFixed(2)}`);
      if (score.judge && score.judge !== score.scorer) item.append(` by ${score.judge}`);
      if (score.extracted) item.append(makeElement("span", { class: "faint", dir: "auto" }, ` read: ${score.extracted}`));
      if (score.reason) item.append(makeElement("p", { class: "note episode-text", dir: "auto" }, score.reason));
      list.append(item);
    }
    return list;
  }

  return { AnswerViews };
})();

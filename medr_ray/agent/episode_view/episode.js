// Draws the events of an episode: thoughts, calls of tools with their results, the answer.
//
//   const view = MedrEpisode.openEpisode(container);
//   view.add(event);            // one event of the stream, as an object
//
// Whatever a model or a document wrote becomes a text node. A link leads to http or https only.
"use strict";

const MedrEpisode = (() => {
  const ARGUMENT_WIDTH = 90; // characters of the arguments on the line of a closed call
  const THOUGHT_WIDTH = 110; // characters of a thought on its line

  const BUDGET_NAMES = {
    calls: "its calls were nearly spent",
    repeats: "it repeated its calls",
    tokens: "its tokens were nearly spent",
    seconds: "its time was nearly spent",
    usd: "its money was nearly spent",
  };

  // An element with attributes and children; a child that is no node becomes text.
  function makeElement(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(attribute, String(value));
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // The address as the browser writes it; null unless it is one of the web.
  function readWebAddress(url) {
    if (typeof url !== "string" || !URL.canParse(url)) return null;
    const address = new URL(url);
    return address.protocol === "https:" || address.protocol === "http:" ? address.href : null;
  }

  // A link to a page of the web; the bare label where the address is not one.
  function makeLink(url, label) {
    const address = readWebAddress(url);
    if (address === null) return makeElement("span", {}, label);
    const attributes = { href: address, target: "_blank", rel: "noopener noreferrer" };
    return makeElement("a", attributes, label);
  }

  // The text in one paragraph that keeps its lines, with the ids of documents as links.
  function makeText(text, urlById = new Map()) {
    const paragraph = makeElement("p", { class: "episode-text", dir: "auto" });
    const ids = [...urlById.keys()].filter((id) => text.includes(id));
    // The longest first: one id may begin with another.
    ids.sort((first, second) => second.length - first.length);
    let position = 0;
    while (position < text.length && ids.length > 0) {
      const next = findFirst(text, ids, position);
      if (next === null) break;
      paragraph.append(text.slice(position, next.start), makeLink(urlById.get(next.id), next.id));
      position = next.start + next.id.length;
    }
    paragraph.append(text.slice(position));
    return paragraph;
  }

  function findFirst(text, ids, position) {
    let first = null;
    for (const id of ids) {
      const start = text.indexOf(id, position);
      if (start >= 0 && (first === null || start < first.start)) first = { id, start };
    }
    return first;
  }

  function shorten(text, width) {
    const line = text.replace(/\s+/g, " ").trim();
    return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
  }

  function formatSeconds(seconds) {
    if (typeof seconds !== "number") return "";
    return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(0)} s`;
  }

  function writeValue(value) {
    return typeof value === "string" ? value : JSON.stringify(value, null, 1);
  }

  // The arguments in one line: the value alone where there is one.
  function describeArguments(values) {
    const entries = Object.entries(values ?? {});
    if (entries.length === 1) return shorten(writeValue(entries[0][1]), ARGUMENT_WIDTH);
    const line = entries.map(([name, value]) => `${name}: ${writeValue(value)}`).join(", ");
    return shorten(line, ARGUMENT_WIDTH);
  }

  function makeDocumentList(documents) {
    const list = makeElement("ul", { class: "episode-documents", "aria-label": "Documents" });
    for (const source of documents) {
      list.append(makeElement("li", {}, makeLink(source.url, source.title || source.id)));
    }
    return list;
  }

  // What has been drawn of one episode.
  class EpisodeView {
    constructor(container) {
      this.steps = makeElement("ol", { class: "episode" });
      this.messages = null;
      this.container = container;
      this.callByKey = new Map();
      this.urlById = new Map();
      container.append(this.steps);
    }

    // Draw one event. A kind of event that this script does not know is passed over: a newer server
    // may send some.
    add(event) {
      switch (event.type) {
        case "start":
          return this.addStart(event);
        case "thought":
          return this.addThought(event);
        case "tool_call":
          return this.addCall(event);
        case "tool_result":
          return this.addResult(event);
        case "answer_request":
          return this.addAnswerRequest(event);
        case "answer":
          return this.addAnswer(event);
        case "error":
          return this.addError(event);
        case "message":
          return this.addMessage(event);
      }
    }

    openAll(isOpen) {
      for (const part of this.container.querySelectorAll("details")) part.open = isOpen;
    }

    addStep(kind, ...children) {
      this.steps.append(makeElement("li", { class: `episode-step episode-${kind}` }, ...children));
    }

    addStart(event) {
      if (event.language) this.steps.setAttribute("lang", event.language);
    }

    addThought(event) {
      const line = makeElement("span", { class: "episode-line" }, shorten(event.text, THOUGHT_WIDTH));
      const summary = makeElement("summary", {}, makeElement("b", {}, "Thought"), " ", line);
      const details = makeElement("details", { open: "" }, summary, makeText(event.text));
      this.addStep("thought", details);
    }

    addCall(event) {
      const state = makeElement("span", { class: "episode-state" }, "running");
      const line = makeElement("span", { class: "episode-line" }, describeArguments(event.arguments));
      const tool = makeElement("b", { class: "episode-tool" }, event.tool);
      const summary = makeElement("summary", {}, tool, " ", line, " ", state);
      const facts = makeElement("dl", { class: "episode-arguments" });
      for (const [name, value] of Object.entries(event.arguments ?? {})) {
        facts.append(makeElement("dt", {}, name));
        facts.append(makeElement("dd", {}, makeText(writeValue(value))));
      }
      const details = makeElement("details", {}, summary, facts);
      this.callByKey.set(`${event.turn}/${event.call}`, { details, state });
      this.addStep("call", details);
    }

    addResult(event) {
      const call = this.callByKey.get(`${event.turn}/${event.call}`);
      // A reply that holds no call at all gets a result too, which says so.
      const target = call ?? this.addLoneResult(event);
      const documents = event.documents ?? [];
      for (const source of documents) this.urlById.set(source.id, source.url);
      const parts = [event.status, formatSeconds(event.seconds)];
      if (documents.length > 0) {
        parts.push(documents.length === 1 ? "1 document" : `${documents.length} documents`);
      }
      target.state.textContent = parts.filter((part) => part !== "").join(" · ");
      target.state.classList.add(`episode-state-${event.status === "ok" ? "ok" : "failed"}`);
      target.details.append(makeText(event.text ?? "", this.urlById));
      if (documents.length > 0) target.details.append(makeDocumentList(documents));
    }

    addLoneResult(event) {
      const state = makeElement("span", { class: "episode-state" });
      const summary = makeElement("summary", {}, makeElement("b", {}, event.tool || "Result"), " ", state);
      const details = makeElement("details", {}, summary);
      this.addStep("call", details);
      return { details, state };
    }

    addAnswerRequest(event) {
      const reason = BUDGET_NAMES[event.budget] ?? event.budget;
      this.addStep("request", `Asked for its answer: ${reason}.`);
    }

    addAnswer(event) {
      const hasAnswer = typeof event.text === "string";
      const words = hasAnswer ? event.text : `No answer (${event.stop_reason}).`;
      const box = makeElement("div", { class: "episode-result" });
      box.append(makeElement("b", {}, "Answer"), makeText(words, this.urlById));
      if (event.remark) box.append(makeElement("p", { class: "episode-remark" }, event.remark));
      if (event.citations?.length > 0) box.append(makeCitationList(event.citations));
      if (event.unresolved?.length > 0) {
        const ids = event.unresolved.map((row) => row.document_id).join(", ");
        box.append(makeElement("p", { class: "episode-remark" }, `Named, but never read: ${ids}`));
      }
      const facts = describeUsage(event);
      if (facts) box.append(makeElement("p", { class: "episode-facts" }, facts));
      if (event.notice) box.append(makeElement("p", { class: "episode-notice" }, event.notice));
      this.addStep("answer", box);
    }

    addError(event) {
      this.addStep("error", makeElement("p", { role: "alert" }, event.message));
    }

    addMessage(event) {
      if (this.messages === null) {
        const title = makeElement("summary", {}, makeElement("b", {}, "The dialogue as it was sent"));
        this.messages = makeElement("details", { class: "episode-messages" }, title);
        this.container.append(this.messages);
      }
      const role = makeElement("b", {}, event.role);
      this.messages.append(makeElement("div", {}, role, makeText(event.content)));
    }
  }

  function makeCitationList(citations) {
    const list = makeElement("ol", { class: "episode-citations", "aria-label": "Sources" });
    for (const citation of citations) {
      const label = citation.title || citation.document_id;
      const item = makeElement("li", {}, makeLink(citation.url, label));
      if (citation.title) item.append(` (${citation.document_id})`);
      if (citation.published) item.append(`, ${citation.published}`);
      if (citation.as_of) item.append(`, as of ${citation.as_of}`);
      if (citation.quote) item.append(makeElement("q", { dir: "auto" }, citation.quote));
      list.append(item);
    }
    return list;
  }

  function describeUsage(event) {
    const usage = event.usage ?? {};
    const parts = [];
    if (event.stop_reason) parts.push(`ended: ${event.stop_reason}`);
    if (usage.model_calls) parts.push(`${usage.model_calls} calls of the model`);
    if (usage.output_tokens) parts.push(`${usage.output_tokens} tokens written`);
    const seconds = formatSeconds(event.seconds);
    if (seconds) parts.push(seconds);
    return parts.join(" · ");
  }

  function openEpisode(container) {
    return new EpisodeView(container);
  }

  return { openEpisode, makeElement, makeLink, shorten, formatSeconds };
})();

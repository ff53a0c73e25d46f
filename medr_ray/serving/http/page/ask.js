// The page's own part: sends a question to /v1/research and hands each event to MedrEpisode.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const earlier = []; // the dialogue so far: questions and answers
  let running = null; // what stops the question in progress

  // The JSON objects of a stream of server-sent events, one by one.
  async function* readEvents(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.startsWith("data: ") ? part.slice(6) : "[DONE]";
        if (data !== "[DONE]") yield JSON.parse(data);
      }
    }
  }

  async function readProblem(response) {
    const body = await response.json().catch(() => null);
    if (response.status === 401) byId("key-row").hidden = false;
    return body?.error?.message ?? `the server answered with status ${response.status}`;
  }

  // Whether the question was taken; what came of it is in the view.
  async function research(question, view, signal) {
    const headers = { "Content-Type": "application/json" };
    const key = byId("key").value.trim();
    if (key) headers.Authorization = `Bearer ${key}`;
    const body = JSON.stringify({ question, earlier });
    const response = await fetch("/v1/research", { method: "POST", headers, body, signal });
    if (!response.ok) {
      view.add({ type: "error", message: await readProblem(response) });
      return false;
    }
    for await (const event of readEvents(response)) {
      if (event.error) view.add({ type: "error", message: event.error.message });
      else view.add(event);
      if (event.type === "answer") earlier.push({ question, answer: event.text ?? "" });
    }
    return true;
  }

  byId("ask").addEventListener("submit", async (submission) => {
    submission.preventDefault();
    const question = byId("question").value.trim();
    if (!question || running) return;
    const heading = document.createElement("h2");
    heading.textContent = question;
    const container = document.createElement("section");
    container.append(heading);
    byId("dialogue").append(container);
    const view = MedrEpisode.openEpisode(container);
    running = new AbortController();
    byId("send").disabled = true;
    byId("stop").disabled = false;
    try {
      // A question that was refused stays, to be sent again.
      const isSent = await research(question, view, running.signal);
      if (isSent) byId("question").value = "";
    } catch (error) {
      const message = error.name === "AbortError" ? "stopped" : `no answer: ${error.message}`;
      view.add({ type: "error", message });
    } finally {
      running = null;
      byId("send").disabled = false;
      byId("stop").disabled = true;
    }
  });
  byId("stop").addEventListener("click", () => running?.abort());
  document.documentElement.dataset.ready = "true";
})();

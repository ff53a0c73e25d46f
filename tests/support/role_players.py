"""Scripted models for ``medr roles try``: for each role, what a good one replies to its trials."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.cli.trials.questions import read_plan
from medr_ray.cli.trials.trial import read_entries
from medr_ray.questions.plans import PlanNode

Player = Callable[[dict[str, Any]], str]


def prompt_of(body: Mapping[str, Any]) -> str:
    return "\n".join(str(message["content"]) for message in body["messages"])


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _find(entries: list[dict[str, Any]], field: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The entry whose field stands in the prompt, the longest where one is a part of another."""
    prompt = prompt_of(body)
    fitting = [entry for entry in entries if entry[field] in prompt]
    return max(fitting, key=lambda entry: len(entry[field]))


def judge_significance(body: dict[str, Any]) -> str:
    entry = _find(read_entries("significance"), "id", body)
    verdict = {"id": entry["id"], "significant": entry["significant"], "reason": "as it is listed"}
    return _to_json({"verdicts": [{**verdict, "specialty": entry["specialty"]}]})


def extract(body: dict[str, Any]) -> str:
    content = read_entries("extractor")
    names = {concept["id"]: concept["name"] for concept in content["concepts"]}
    entry = _find(content["documents"], "text", body)
    sentences = entry["text"].replace(". ", ".\n").splitlines()
    relations = []
    for subject, predicate, obj in entry["expected"]:
        ends = (names[subject], names[obj])
        sentence = next(line for line in sentences if all(end in line for end in ends))
        relation = {"subject": ends[0], "predicate": predicate, "object": ends[1]}
        relations.append({**relation, "confidence": 0.9, "sentence": sentence})
    return _to_json({"relations": relations})


def write(body: dict[str, Any]) -> str:
    entry = _find(read_entries("questions")["questions"], "plain", body)
    return _to_json({"question": entry["worded"]})


def read_back(body: dict[str, Any]) -> str:
    content = read_entries("questions")
    entry = _find(content["questions"], "worded", body)
    named: list[dict[str, str]] = []
    steps: list[dict[str, Any]] = []

    def number(node: PlanNode) -> str:
        if node.is_named:
            names = content["entities"][node.value]["names"]
            text = next(name for name in names if name in entry["worded"])
            named.append({"id": f"n{len(named) + 1}", "text": text})
            return named[-1]["id"]
        inputs = [number(child) for child in node.inputs]
        steps.append({"id": f"s{len(steps) + 1}", "kind": node.kind, "inputs": inputs})
        return str(steps[-1]["id"])

    number(read_plan(entry["plan"]))
    return _to_json({"named": named, "steps": steps, "as_of": "", "left_over": []})


def remember(body: dict[str, Any]) -> str:
    entry = _find(read_entries("memories"), "question", body)
    return f"Answer: {entry['answer']}"


def begin(body: dict[str, Any]) -> str:
    return render_reply("I look it up.", [ToolCall("medical_search", {"query": "the record"})])


def rewrite(body: dict[str, Any]) -> str:
    entries = [entry for entry in read_entries("dialogues") if "rewriter" in entry["roles"]]
    entry = _find(entries, "last", body)
    start = "接下来，" if entry["language"] == "zh" else "In other words: "
    thoughts = [*(turn["thought"] for turn in entry["turns"]), entry["last"]]
    return _to_json({"thoughts": [start + thought for thought in thoughts]})


def prefer(body: dict[str, Any]) -> str:
    entry = _find(read_entries("dialogues"), "last", body)
    return _to_json({"score": 0.9 if entry["good"] else 0.1, "reason": "as it was worked out"})


def judge(body: dict[str, Any]) -> str:
    entry = _find(read_entries("answers"), "question", body)
    return _to_json({"reason": "compared", "correct": entry["correct"]})


def quote(body: dict[str, Any]) -> str:
    entry = _find(read_entries("pages"), "page", body)
    return _to_json({"quotes": [entry["quoted"]] if entry["quoted"] else []})


# The setting that gives each role to a model, and the good player of it.
PLAYERS: dict[str, tuple[str, Player]] = {
    "significance": ("entities.significance=llm", judge_significance),
    "extractor": ("graph.extractor=llm", extract),
    "writer": ("questions.writer=llm", write),
    "back_reader": ("questions.back_reader=llm", read_back),
    "closed_book": ("questions.closed_book={model: m, base_url: URL}", remember),
    "calibration": ("questions.calibration=[{model: m, base_url: URL}]", remember),
    "teacher": ("trajectories.teacher=llm", begin),
    "rewriter": ("trajectories.rewrite={model: m, base_url: URL}", rewrite),
    "quoter": ("tools.read.extract=llm", quote),
    "preference": ("grpo.expert=llm", prefer),
    "judge": ("evaluation.judge=llm", judge),
}

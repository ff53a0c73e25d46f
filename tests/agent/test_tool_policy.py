"""The tool-selection policy: what it learns, what it predicts, and how it reaches the prompt."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agent_run import Echo, Script, call, run

from medr_ray.agent.tool_features import FEATURES, ToolChoice, extract_features, read_choices
from medr_ray.agent.tool_fitting import cross_validate, fit_tool_policy, measure_fit
from medr_ray.agent.tool_policy import ToolPolicy, load_tool_policy
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import ToolEvent, Trajectory

RARE = "What is the age of onset of Wolman disease?"
COMMON = "When was the hospital in Paris built?"
TOOLS = [Echo("search"), Echo("medical_search")]


def value(name: str, features: tuple[float, ...]) -> float:
    return features[FEATURES.index(name)]


def event(tool: str, status: str = "ok", documents: tuple[str, ...] = ("PMID:1",)) -> ToolEvent:
    return ToolEvent(tool, "{}", status, 0.1, False, documents=documents)


def test_features_say_what_can_be_known_before_the_call() -> None:
    first = extract_features(RARE, (), lambda word: 6.5)
    assert len(first) == len(FEATURES)
    assert value("terminology", first) > value("terminology", extract_features(COMMON, ()))
    assert math.isnan(value("rarity", extract_features(RARE, ())))
    nested = "What is the onset of the disease that is caused by the gene whose product is lipase?"
    assert value("hops", extract_features(nested, ())) > value("hops", first)
    assert [value(name, extract_features(RARE, ())) for name in FEATURES[3:]] == [0, 0, 0, 0]


def test_the_rarest_word_counts() -> None:
    weights = {"wolman": 6.5, "age": 0.5, "onset": 2.0, "disease": 0.1}
    assert value("rarity", extract_features(RARE, (), weights.__getitem__)) == 6.5


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (event("medical_search"), (1, 0, 0)),
        (event("search", "error"), (0, 1, 0)),
        (event("search", documents=()), (0, 0, 1)),
        (event("read"), (0, 0, 0)),
    ],
)
def test_history_is_what_the_last_call_was_and_how_it_ended(
    last: ToolEvent, expected: tuple[int, ...]
) -> None:
    features = extract_features(RARE, [event("search"), last])
    assert (
        tuple(value(name, features) for name in ("last_medical", "last_failed", "last_empty"))
        == expected
    )
    assert value("calls", features) == math.log1p(2)


def trajectory(*calls: str, question: str = RARE, number: int = 0) -> Trajectory:
    finished = run(
        *calls,
        tools=[Echo("search"), Echo("medical_search"), Echo("read")],
        text=question,
        max_tool_calls=9,
    )
    return replace(finished, question_id=f"q-{number}")


@pytest.mark.parametrize(
    ("question", "hops"),
    [
        (RARE, 1),
        (
            "What is the finding in 3 of 8 patients with the disease associated with the gene "
            "ASXL3?",
            3,
        ),
        (
            "Begin with the gene associated with Glaucoma 3. Then take the other disease "
            "associated with that gene. In what share of patients with that disease is Peters "
            "anomaly found?",
            5,
        ),
        ("克拉伯病的致病基因的产物是什么?", 3),
    ],
)
def test_hops_are_counted_by_the_joints_of_the_question(question: str, hops: int) -> None:
    assert value("hops", extract_features(question, ())) == hops


def test_runs_that_did_not_keep_their_documents_leave_unknown_whether_a_call_found_any() -> None:
    finished = trajectory(call("a"), call("b"))
    events = tuple(replace(call_event, documents=()) for call_event in finished.tool_events)
    assert value("last_empty", read_choices(finished)[1].features) == 0
    assert math.isnan(
        value("last_empty", read_choices(replace(finished, tool_events=events))[1].features)
    )


def test_choices_are_the_calls_to_either_tool_with_what_was_known_then() -> None:
    finished = trajectory(
        call("a", name="medical_search"), call("b", "c", name="search"), call("d", name="read")
    )
    choices = read_choices(finished)
    assert [choice.medical for choice in choices] == [True, False, False]
    assert choices[1].features == choices[2].features  # decided on in one thought
    assert value("last_medical", choices[1].features) == 1
    assert value("calls", choices[2].features) == math.log1p(1)


def test_calls_that_were_not_run_are_no_choices() -> None:
    finished = trajectory(
        call("a"), "<think>x</think><tool_call>oops</tool_call>", call(*"bcdefghi")
    )
    assert len(read_choices(finished)) == 8  # nine attempts fit the budget, one of them malformed


def planted(count: int, weights: np.ndarray, seed: int = 0) -> list[ToolChoice]:
    """Choices drawn from a known w over standard normal features."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, len(FEATURES)))
    taken = random.random(count) < 1 / (1 + np.exp(-(x @ weights)))
    return [
        ToolChoice(f"q-{i}", tuple(row), bool(medical))
        for i, (row, medical) in enumerate(zip(x.tolist(), taken, strict=True))
    ]


def test_it_finds_the_weights_that_choices_were_drawn_with() -> None:
    weights = np.array([2.0, 0.0, -1.0, 0.0, 0.5, 0.0, 0.0])
    policy = fit_tool_policy(planted(8000, weights), l2=0.01)
    assert np.array(policy.weights) == pytest.approx(weights, abs=0.15)
    assert policy == fit_tool_policy(planted(8000, weights), l2=0.01)


def test_the_penalty_keeps_weights_small_where_choices_are_separable() -> None:
    apart = [ToolChoice(f"q-{i}", (float(i % 2),) * len(FEATURES), bool(i % 2)) for i in range(40)]
    loose, tight = fit_tool_policy(apart, l2=0.01), fit_tool_policy(apart, l2=10.0)
    assert 0 < tight.weights[0] < loose.weights[0] < 10
    with pytest.raises(DataError, match="nothing to be fitted on"):
        fit_tool_policy([])


_ROWS = st.lists(
    st.tuples(
        st.lists(
            st.floats(-1e6, 1e6) | st.just(math.nan), min_size=len(FEATURES), max_size=len(FEATURES)
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(_ROWS)
def test_whatever_was_done_the_probabilities_are_probabilities(
    rows: list[tuple[list[float], bool]],
) -> None:
    policy = fit_tool_policy(
        [ToolChoice("q", tuple(features), medical) for features, medical in rows]
    )
    p = policy.medical_probabilities([features for features, _ in rows])
    assert np.all((p >= 0) & (p <= 1))
    assert policy.share == pytest.approx(sum(medical for _, medical in rows) / len(rows))
    assert p.mean() == pytest.approx(policy.share, abs=0.02)  # the bias is not penalised


def test_a_missing_feature_counts_as_its_mean() -> None:
    policy = fit_tool_policy(planted(200, np.full(len(FEATURES), 0.7)))
    means = list(policy.mean)
    assert policy.medical_probabilities([[math.nan, *means[1:]]]) == pytest.approx(
        policy.medical_probabilities([means])
    )


@pytest.mark.parametrize(
    ("p", "auc"),
    [
        ([0.1, 0.2, 0.8, 0.9], 1.0),
        ([0.9, 0.8, 0.2, 0.1], 0.0),
        ([0.5] * 4, 0.5),
        ([0.1, 0.6, 0.6, 0.9], 0.875),
    ],
)
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(
    p: list[float], auc: float
) -> None:
    fit = measure_fit(p, [False, False, True, True], 0.5)
    assert fit.auc == pytest.approx(auc)
    assert fit.baseline == pytest.approx(math.log(0.5))
    assert fit.log_likelihood == pytest.approx(
        (math.log(1 - p[0]) + math.log(1 - p[1]) + math.log(p[2]) + math.log(p[3])) / 4
    )


def test_where_all_went_to_one_tool_there_is_no_curve() -> None:
    assert measure_fit([0.9, 0.8], [True, True], 1.0).auc is None
    assert (
        measure_fit([0.0], [True], 0.5).log_likelihood < -20
    )  # sure and wrong, and still a number


def runs(count: int) -> list[ToolChoice]:
    """Rare diseases are looked up in the medical retriever, all else in the general search."""
    trajectories = [
        trajectory(
            call(f"a{i}", name="medical_search" if i % 2 else "search"),
            question=(RARE if i % 2 else COMMON).replace("?", f" ({i})?"),
            number=i,
        )
        for i in range(count)
    ]
    return [choice for finished in trajectories for choice in read_choices(finished)]


def test_held_out_runs_are_predicted_better_than_by_the_share_alone() -> None:
    fit = cross_validate(runs(40))
    assert fit is not None
    assert (fit.calls, fit.share, fit.auc) == (40, 0.5, 1.0)
    assert fit.log_likelihood > fit.baseline + 0.3
    assert cross_validate(runs(1)) is None
    assert cross_validate([]) is None


def test_random_choices_are_not_predicted() -> None:
    def make_noise(i: int) -> Trajectory:
        tool = "medical_search" if (i * i // 3) % 2 else "search"
        return trajectory(
            call("a", name=tool), question=f"{'x of the y ' * (i % 5)}?", number=i * 7
        )

    noise = [choice for i in range(40) for choice in read_choices(make_noise(i))]
    fit = cross_validate(noise)
    assert fit is not None
    assert fit.log_likelihood < fit.baseline  # on the runs it was fitted on it would be above


def test_the_weights_of_words_are_part_of_a_choice() -> None:
    assert value("rarity", read_choices(trajectory(call("a")), lambda word: 2.5)[0].features) == 2.5


def test_a_saved_policy_reads_back(tmp_path: Path) -> None:
    policy = fit_tool_policy(runs(10))
    policy.save(str(tmp_path / "policy.json"))
    assert load_tool_policy(str(tmp_path / "policy.json")) == policy


def saved(tmp_path: Path, **changed: Any) -> str:
    policy = fit_tool_policy(runs(20))
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    path.write_text(json.dumps({**policy.__dict__, **changed}))
    return str(path)


def test_the_prompt_says_how_likely_the_medical_retriever_is_used_first(tmp_path: Path) -> None:
    path = saved(tmp_path)
    rare, common = (
        run(tools=TOOLS, text=text, tool_policy=path).messages[0].content for text in (RARE, COMMON)
    )
    line = "the medical retriever (medical_search) is used first with probability "
    likely, unlikely = (float(prompt.partition(line)[2].rstrip(".")) for prompt in (rare, common))
    assert likely > 0.6 > 0.4 > unlikely
    assert line not in run(tools=TOOLS, text=RARE).messages[0].content


def test_a_policy_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add medical_search to"):
        run(tools=[Echo("search")], tool_policy=saved(tmp_path))
    with pytest.raises(ConfigError, match=r"missing\.json is no fitted tool policy"):
        run(tools=TOOLS, tool_policy=str(tmp_path / "missing.json"))
    with pytest.raises(ConfigError, match="fit it again"):
        load_tool_policy(saved(tmp_path, features=["luck"]))
    (tmp_path / "half.json").write_text('{"features": []')
    with pytest.raises(ConfigError, match="no fitted tool policy"):
        load_tool_policy(str(tmp_path / "half.json"))


def test_the_words_weights_reach_the_prior(tmp_path: Path) -> None:
    import asyncio

    from support.questions import worded_task

    from medr_ray.agent.episode_loop import run_episode
    from medr_ray.core.config import AgentConfig

    policy = ToolPolicy(FEATURES, (0.0,) * 7, (1.0,) * 7, (1.0, *(0.0,) * 6), 0.0, 1.0, 9, 0.5)
    policy.save(str(tmp_path / "rare.json"))

    def prompt(weight: float | None) -> str:
        return (
            asyncio.run(
                run_episode(
                    worded_task(RARE),
                    Script(),
                    TOOLS,
                    AgentConfig(tool_policy=str(tmp_path / "rare.json")),
                    mode="exploration",
                    rarity=None if weight is None else lambda word: weight,
                )
            )
            .messages[0]
            .content
        )

    assert "probability 0.50." in prompt(None)
    assert "probability 0.95." in prompt(3.0)

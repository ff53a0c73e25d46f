"""Named keys: their file, their limits, and what a running service makes of a file that changes."""

import json
import logging
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medr_ray.cli.main import main
from medr_ray.core.config import ServingConfig
from medr_ray.core.errors import ConfigError
from medr_ray.serving.key_limits import KeyLimiter
from medr_ray.serving.keys import (
    KeySource,
    LiveKeys,
    ServingKey,
    add_key,
    read_keys_file,
    remove_key,
)

DIGEST = "0" * 64


def accepts(source: KeySource, key: str) -> bool:
    return source.read().find_key(f"Bearer {key}") is not None


def test_a_new_key_is_printed_once_and_only_its_hash_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "keys.json"
    command = ["serve", "keys", "add", "anna", "--file", str(path), "--rpm", "60"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--expires", "2031-01-02"])
    assert ended.value.code == 0
    key = capsys.readouterr().out.strip()
    assert len(key) > 40
    text = path.read_text()
    assert key not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]
    (entry,) = read_keys_file(path)
    assert (entry.name, entry.rpm, entry.tpm) == ("anna", 60, None)
    assert entry.expires == datetime(2031, 1, 2, tzinfo=UTC)
    source = KeySource((), str(path))
    assert accepts(source, key)
    assert not accepts(source, key + "x")
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 1
    assert "has a key named anna" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["default", "", "a b", "../x", "a" * 65])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        add_key(tmp_path / "keys.json", name)


def test_a_removed_key_and_an_expired_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    source = KeySource((), str(path))
    kept = add_key(path, "kept")
    gone = add_key(path, "gone")
    now = datetime.now(UTC)
    old = add_key(path, "old", expires=now + timedelta(hours=1))
    verifier = source.read()
    assert verifier.find_key(f"Bearer {old}", now) is not None
    assert verifier.find_key(f"Bearer {old}", now + timedelta(hours=1)) is None
    remove_key(path, "gone")
    assert accepts(source, kept)
    assert not accepts(source, gone)
    with pytest.raises(ConfigError, match="no key named 'gone'"):
        remove_key(path, "gone")


def test_the_key_of_the_environment_is_valid_beside_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    named = add_key(path, "anna")
    config = ServingConfig(keys_file=str(path), api_key_env="K")
    source = KeySource.from_config(config, {"K": "from-the-environment"})
    assert accepts(source, named)
    key = source.read().find_key("Bearer from-the-environment")
    assert key is not None
    assert key.name == "default"
    assert "from-the-environment" not in repr(source)


def test_a_file_without_keys_still_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"keys": []}')
    verifier = KeySource((), str(path)).read()
    assert verifier.asks_for_key
    assert not verifier.accepts(None)
    assert not verifier.accepts("Bearer x")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"keys": [{"name": "a"}]}',
        '{"keys": [{"name": "a", "sha256": "sk-secret-4711"}]}',
        json.dumps({"keys": [{"name": "a", "sha256": DIGEST, "rpm": 0}]}),
        json.dumps({"keys": [{"name": "a", "sha256": DIGEST, "limit": 1}]}),
        json.dumps({"keys": [{"name": "a", "sha256": DIGEST, "expires": "2031-01-02T00:00"}]}),
        json.dumps({"keys": 2 * [{"name": "a", "sha256": DIGEST}]}),
    ],
)
def test_a_broken_file_keeps_the_keys_of_before_and_says_so(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "anna")
    live = LiveKeys(KeySource((), str(path)))
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        LiveKeys(KeySource((), str(path)))
    assert "4711" not in str(error.value)
    with caplog.at_level(logging.ERROR, "medr_ray.serving.keys"):
        live.refresh()
        live.refresh()
    assert live.current().find_key(f"Bearer {key}") is not None
    (message,) = [record.getMessage() for record in caplog.records]
    assert str(path) in message
    assert "the keys of before stay valid" in message
    path.unlink()
    other = add_key(path, "berta")
    live.refresh()
    assert live.current().find_key(f"Bearer {other}") is not None
    assert live.current().find_key(f"Bearer {key}") is None


# --- limits ---------------------------------------------------------------------------


def make_key(**limits: Any) -> ServingKey:
    return ServingKey(name="anna", sha256=DIGEST, **limits)


def test_requests_a_minute_count_those_of_the_last_sixty_seconds() -> None:
    limiter = KeyLimiter()
    key = make_key(rpm=2)
    assert limiter.admit(key, 0.0) is None
    assert limiter.admit(key, 30.0) is None
    limit = limiter.admit(key, 45.0)
    assert limit is not None
    assert limit.retry_after == 15
    assert limiter.admit(key, 60.0) is None
    limit = limiter.admit(key, 60.5)
    assert limit is not None
    assert limit.retry_after == 30


def test_tokens_a_minute_count_when_they_are_used() -> None:
    limiter = KeyLimiter()
    key = make_key(tpm=100)
    assert limiter.admit(key, 0.0) is None
    limiter.finish(key, 70, 1.0)
    assert limiter.admit(key, 2.0) is None
    limiter.finish(key, 80, 11.0)
    limit = limiter.admit(key, 12.0)
    assert limit is not None
    assert limit.retry_after == 49
    assert limiter.admit(key, 61.0) is None


def test_requests_at_a_time_end_with_their_answers() -> None:
    limiter = KeyLimiter()
    key = make_key(concurrency=1)
    assert limiter.admit(key, 0.0) is None
    limit = limiter.admit(key, 1.0)
    assert limit is not None
    assert limit.retry_after >= 1
    limiter.finish(key, 0, 2.0)
    assert limiter.admit(key, 2.0) is None


def test_one_keys_limit_is_no_others() -> None:
    limiter = KeyLimiter()
    assert limiter.admit(make_key(rpm=1), 0.0) is None
    assert limiter.admit(make_key(rpm=1), 0.0) is not None
    other = ServingKey(name="berta", sha256=DIGEST, rpm=1)
    assert limiter.admit(other, 0.0) is None

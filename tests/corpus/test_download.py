"""A mirror filled from a server that misbehaves in every way a server can."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.mirror_rig import CONTENT, FIRST, SECOND, UPDATE, Rig
from support.pubmed_server import Fault, answers, dropped, instead, md5, stalled, truncated
from typer.testing import CliRunner

from medr_ray.cli.main import app, main
from medr_ray.core.errors import ConfigError, DataError, InfrastructureError, MedrError
from medr_ray.corpus.corpus_files import list_corpus_files, open_corpus_file
from medr_ray.corpus.mirror_sources import MAX_PAUSE_SECONDS
from medr_ray.corpus.mirror_store import MirrorStore

# --- what a good day looks like -------------------------------------------------------


def test_everything_is_fetched_and_the_ingest_reads_it(rig: Rig) -> None:
    rig.fetch()
    rig.assert_whole()
    row = json.loads((rig.root / "manifest.json").read_text())["files"][0]
    assert (row["name"], row["folder"], row["size"], row["md5"], row["state"]) == (
        "pubmed26n0001.xml.gz",
        "baseline",
        120_000,
        md5(CONTENT[FIRST]),
        "complete",
    )
    assert "download: 3 files fetched" in rig.printed.getvalue()
    sources = list_corpus_files([str(rig.root / "baseline"), str(rig.root / "updatefiles")])
    assert [file.md5 for file in sources] == [md5(content) for content in CONTENT.values()]


def test_a_second_run_requests_listings_only(rig: Rig) -> None:
    rig.fetch()
    rig.server.requests.clear()
    rig.fetch()
    assert [path for path, _ in rig.server.requests] == [
        "/pubmed/baseline/",
        "/pubmed/updatefiles/",
    ]
    assert "0 files fetched" in rig.printed.getvalue()
    assert "3 there already" in rig.printed.getvalue()


def test_a_file_nlm_replaced_is_fetched_again_and_the_others_only_looked_up(rig: Rig) -> None:
    rig.fetch()
    rig.server.stamp, replaced = "2026-01-07 09:00", b"revised"
    rig.server.add(SECOND, replaced)
    rig.server.requests.clear()
    rig.fetch()
    assert (rig.root / SECOND).read_bytes() == replaced
    assert [path for path, _ in rig.server.requests if path.endswith(".gz")] == [
        f"/pubmed/{SECOND}"
    ]


def test_files_fetched_by_other_means_are_hashed_and_kept(rig: Rig) -> None:
    (rig.root / "baseline").mkdir(parents=True)
    (rig.root / FIRST).write_bytes(CONTENT[FIRST])
    rig.fetch()
    rig.assert_whole()
    assert rig.server.list_requests(FIRST) == []


def test_glob_limit_and_folders_choose(rig: Rig) -> None:
    rig.fetch(files="*n000[23]*", limit=1)
    assert list(rig.states()) == [SECOND]
    rig.fetch(baseline=False)
    assert list(rig.states()) == [SECOND, UPDATE]
    with pytest.raises(ConfigError, match="nothing to download"):
        rig.fetch(baseline=False, updates=False)


def test_a_root_whose_listing_has_the_files_is_a_source_too(rig: Rig) -> None:
    rig.fetch(source=f"{rig.server.url}updatefiles/")
    assert list(rig.states()) == [UPDATE]
    with pytest.raises(DataError, match="a folder of updatefiles, which the options leave out"):
        rig.fetch(source=f"{rig.server.url}updatefiles", updates=False)


def test_a_source_without_one_of_the_folders_says_so(rig: Rig) -> None:
    for path in [path for path in rig.server.files if "updatefiles" in path]:
        del rig.server.files[path]
    with pytest.raises(DataError, match="has no updatefiles/: give --no-updates"):
        rig.fetch()
    rig.fetch(updates=False)
    rig.assert_whole(FIRST, SECOND)


def test_a_folder_is_a_source_with_the_same_checks(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    for key, content in CONTENT.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
        (folder / f"{key}.md5").write_text(
            f"MD5({key})= {md5(content if key != SECOND else b'other')}\n"
        )
    rig.request = replace(rig.request, source=str(folder))
    with pytest.raises(DataError, match=f"1 file of 3 failed .{SECOND}: its MD5 is"):
        rig.fetch()
    rig.assert_whole(FIRST, UPDATE)
    (folder / f"{SECOND}.md5").write_text(md5(CONTENT[SECOND]))
    rig.fetch()
    rig.assert_whole()
    with pytest.raises(ConfigError, match="the same folder"):
        rig.fetch(destination=folder)


def test_real_files_pass_from_a_folder_to_the_ingest(
    shared_data: Path, rig: Rig, tmp_path: Path
) -> None:
    real = {
        "baseline/pubmed26n1334.xml.gz": "pubmed26n1334_pmparser_baseline.xml.gz",
        "updatefiles/pubmed26n1335.xml.gz": "pubmed26n1335_pmparser_update.xml.gz",
    }
    for key, name in real.items():
        target = tmp_path / "mounted" / key
        target.parent.mkdir(parents=True)
        shutil.copyfile(shared_data / "pubmed" / name, target)
        Path(f"{target}.md5").write_text(f"MD5 ({target.name})= {md5(target.read_bytes())}\n")
    rig.fetch(source=str(tmp_path / "mounted"))
    for source in list_corpus_files([str(rig.root / "baseline"), str(rig.root / "updatefiles")]):
        with open_corpus_file(source) as stream:
            assert b"<PubmedArticleSet>" in stream.read()


# --- servers that misbehave -----------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [truncated(50_000), dropped(50_000)], ids=["truncated", "dropped"]
)
def test_a_body_cut_short_is_resumed_where_it_ended(rig: Rig, fault: Fault) -> None:
    rig.fault(FIRST, fault)
    rig.fetch(connections=1)
    rig.assert_whole()
    first, second = rig.server.list_requests(FIRST)
    assert "range" not in first
    begun = int(second["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 <= begun <= 50_000
    assert second["if-range"] == f'"{md5(CONTENT[FIRST])}"'


def test_a_stalled_body_is_noticed_and_resumed(rig: Rig) -> None:
    # Long enough for the first bytes of an answer on a busy machine.
    rig.retry_policy = replace(rig.retry_policy, read_seconds=1.0)
    rig.fault(FIRST, stalled(50_000))
    rig.fetch()
    rig.assert_whole()
    assert rig.server.list_requests(FIRST)[1]["range"] == "bytes=50000-"


def test_a_connection_that_breaks_often_wins_while_it_brings_something(rig: Rig) -> None:
    content = CONTENT[FIRST] * 50
    rig.server.add(FIRST, content)
    rig.fault(
        FIRST, *[truncated(700_000)] * 8
    )  # more than two tries' worth, and every two of them bring over 1 MiB
    rig.retry_policy = replace(rig.retry_policy, attempts=2)
    rig.fetch()
    assert (rig.root / FIRST).read_bytes() == content


def test_a_connection_that_always_breaks_fails_the_file_and_keeps_its_half(rig: Rig) -> None:
    rig.fault(FIRST, *[truncated(100)] * 3)
    with pytest.raises(DataError, match=f"1 file of 3 failed .{FIRST}: RemoteProtocolError"):
        rig.fetch()
    assert rig.states()[FIRST][0] == "failed"
    assert MirrorStore(rig.root).list_partial_files() == [f"{FIRST}.part"]
    rig.fetch()
    rig.assert_whole()
    assert rig.server.list_requests(FIRST)[-1]["range"] == "bytes=300-"


def test_a_wrong_copy_is_thrown_away_and_fetched_again(rig: Rig) -> None:
    rig.fault(FIRST, instead(b"a stale cache"))
    rig.fetch()
    rig.assert_whole()
    assert "range" not in rig.server.list_requests(FIRST)[1]


def test_a_file_that_is_always_wrong_fails_alone_and_never_gets_its_name(rig: Rig) -> None:
    rig.fault(FIRST, *[instead(b"wrong")] * 3)
    with pytest.raises(
        DataError, match=f"{FIRST}: its MD5 is {md5(b'wrong')}, its .md5 says .* 3 times over"
    ):
        rig.fetch()
    assert not (rig.root / FIRST).exists()
    rig.assert_whole(SECOND, UPDATE)
    rig.fetch()
    rig.assert_whole()


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(rig: Rig) -> None:
    rig.fault(FIRST, answers(503, Retry_After="300"), answers(429, Retry_After="301"))
    rig.fetch()
    rig.assert_whole()
    assert rig.pauses == [300.0, 301.0]


def test_a_server_that_asks_for_too_long_a_pause_or_refuses_is_not_asked_again(rig: Rig) -> None:
    rig.fault(FIRST, answers(503, Retry_After=str(MAX_PAUSE_SECONDS + 1)))
    rig.fault(SECOND, answers(403))
    with pytest.raises(DataError, match="2 files of 3 failed"):
        rig.fetch()
    assert "asks to come back in 601 s" in rig.states()[FIRST][1]
    assert rig.states()[SECOND] == ("failed", "the source answers 403 Forbidden")
    assert rig.pauses == []


def test_a_file_without_a_usable_sidecar_is_not_taken_on_trust(rig: Rig) -> None:
    del rig.server.files[f"/pubmed/{FIRST}.md5"]
    rig.server.files[f"/pubmed/{SECOND}.md5"] = b"<html>oops</html>"
    rig.server.files[f"/pubmed/{UPDATE}.md5"] = b"x" * 10_000
    with pytest.raises(DataError, match="3 files of 3 failed"):
        rig.fetch()
    assert [reason for _, reason in rig.states().values()] == [
        "the source answers 404 Not Found",
        "its .md5 holds no MD5 checksum",
        f"/pubmed/{UPDATE}.md5 has more than 4,096 bytes",
    ]


def test_a_server_that_is_down_ends_the_download_soon(rig: Rig) -> None:
    for number in range(10, 40):
        key = f"baseline/pubmed26n{number:04d}.xml.gz"
        rig.server.add(key, b"")
        rig.fault(f"{key}.md5", *[answers(500)] * 3)
    with pytest.raises(InfrastructureError, match="10 files in a row failed"):
        rig.fetch(updates=False, connections=1)
    assert len(rig.states()) == 12


def test_a_source_that_cannot_be_listed_says_why(rig: Rig) -> None:
    with pytest.raises(InfrastructureError, match=r"cannot be listed: ConnectError"):
        rig.fetch(source="http://127.0.0.1:9/pubmed")
    with pytest.raises(DataError, match="lists no file"):
        rig.fetch(source=f"{rig.server.url}nowhere")


# --- resuming after a kill ------------------------------------------------------------


def begin_download(rig: Rig, half: bytes, validator: str) -> None:
    """What a killed download leaves of the first file."""
    partial = MirrorStore(rig.root).partial_file(FIRST)
    partial.restart(validator)
    partial.path.write_bytes(half)


def test_a_killed_download_continues_with_the_rest(rig: Rig) -> None:
    begin_download(rig, CONTENT[FIRST][:70_000], f'"{md5(CONTENT[FIRST])}"')
    rig.fetch()
    rig.assert_whole()
    (list_requests,) = rig.server.list_requests(FIRST)
    assert (list_requests["range"], list_requests["if-range"]) == (
        "bytes=70000-",
        f'"{md5(CONTENT[FIRST])}"',
    )


def test_the_half_of_another_version_is_not_continued(rig: Rig) -> None:
    begin_download(rig, b"x" * 70_000, '"another"')
    rig.fetch()
    rig.assert_whole()
    assert len(rig.server.list_requests(FIRST)) == 1


def test_a_server_without_range_starts_over(rig: Rig) -> None:
    rig.server.ranges = False
    begin_download(rig, CONTENT[FIRST][:70_000], f'"{md5(CONTENT[FIRST])}"')
    rig.fetch()
    rig.assert_whole()


def test_a_half_that_is_longer_than_the_file_starts_over(rig: Rig) -> None:
    begin_download(rig, b"x" * 130_000, f'"{md5(CONTENT[FIRST])}"')
    rig.fetch()
    rig.assert_whole()
    assert [headers.get("range") for headers in rig.server.list_requests(FIRST)] == [
        "bytes=130000-",
        None,
    ]


def test_a_file_that_lacked_only_its_name_is_not_asked_for(rig: Rig) -> None:
    begin_download(rig, CONTENT[FIRST], "")
    rig.fetch()
    rig.assert_whole()
    assert rig.server.list_requests(FIRST) == []


# --- restraint and safety -------------------------------------------------------------


def test_never_more_than_three_connections(rig: Rig) -> None:
    for number in range(10, 19):
        rig.server.add(f"baseline/pubmed26n{number:04d}.xml.gz", b"x")
    rig.server.crowd = 3
    rig.fetch()
    assert rig.server.peak == 3
    with pytest.raises(ConfigError, match="--connections 4: NLM asks for at most 3"):
        rig.fetch(connections=4)


def test_a_hostile_listing_writes_nothing_outside_the_mirror(rig: Rig, tmp_path: Path) -> None:
    links = [
        "../../x",
        "../../../../pubmed26n0009.xml.gz",
        "/etc/passwd",
        "..%2f..%2fpubmed26n0009.xml.gz",
    ]
    page = "".join(f'<a href="{link}">x</a>' for link in [*links, "pubmed26n0001.xml.gz"])
    rig.server.listing = lambda folder: page.encode()  # type: ignore[method-assign]
    rig.fetch(updates=False)
    rig.assert_whole(FIRST)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pubmed"]
    assert {path for path, _ in rig.server.requests} == {
        "/pubmed/baseline/",
        f"/pubmed/{FIRST}",
        f"/pubmed/{FIRST}.md5",
    }


def test_redirects_within_the_host_are_followed_and_others_fail_the_file(rig: Rig) -> None:
    rig.fault(FIRST, answers(302, Location=f"/pubmed/{FIRST}"))
    rig.fault(SECOND, answers(302, Location="http://localhost:9/x"))
    rig.fault(UPDATE, *[answers(302, Location=f"/pubmed/{UPDATE}")] * 9)
    with pytest.raises(DataError, match="2 files of 3 failed"):
        rig.fetch()
    rig.assert_whole(FIRST)
    assert "another host, localhost" in rig.states()[SECOND][1]
    assert rig.states()[UPDATE][1] == "more than 5 redirects"


def test_a_disk_that_is_too_small_is_noticed_before_the_first_byte(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(rig.root.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(DataError, match=r"3 files need 129.0 kB and 100.0 kB are free"):
        rig.fetch()
    assert rig.server.list_requests(".gz") == []


def test_a_mirror_that_cannot_be_written_is_one_clear_error(rig: Rig) -> None:
    rig.root.mkdir()
    (rig.root / "baseline").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written: "):
        rig.fetch()


def test_two_downloads_do_not_share_a_mirror(rig: Rig) -> None:
    with (
        MirrorStore(rig.root).locked(),
        pytest.raises(MedrError, match="is being written by process"),
    ):
        rig.fetch()


def test_object_storage_is_no_mirror(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="local folder"):
        rig.fetch(destination=Path("s3://bucket/pubmed"))


# --- a new year -----------------------------------------------------------------------


def write_last_year(rig: Rig) -> Path:
    old = rig.root / "baseline" / "pubmed25n0001.xml.gz"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    (old.parent / f"{old.name}.md5").write_text(md5(b"old"))
    return old


def test_last_years_files_stop_the_download_and_are_named(rig: Rig) -> None:
    old = write_last_year(rig)
    with pytest.raises(
        DataError, match=r"replaces 1 file of earlier years, baseline/pubmed25n0001.xml.gz: --prune"
    ):
        rig.fetch()
    assert old.exists()
    assert rig.server.list_requests(".gz") == []


def test_prune_removes_last_years_files_with_their_sidecars(rig: Rig) -> None:
    old = write_last_year(rig)
    rig.fetch(prune=True)
    rig.assert_whole()
    assert [path.name for path in old.parent.glob("*25*")] == []
    assert "1 file of earlier years removed" in rig.printed.getvalue()


def test_prune_removes_nothing_when_the_source_is_the_older_one(rig: Rig) -> None:
    rig.fetch()
    for path in list(rig.server.files):
        rig.server.files[path.replace("pubmed26", "pubmed25")] = rig.server.files.pop(path)
    with pytest.raises(DataError, match="use a newer source"):
        rig.fetch(prune=True)
    rig.assert_whole()


# --- the command ----------------------------------------------------------------------


def test_the_command_plans_fetches_and_verifies(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["corpus", "download", str(rig.root), "--source", rig.server.url]
    planned = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert planned.exit_code == 0
    assert "would fetch 3 files" in planned.output
    assert not rig.root.exists()
    fetched = CliRunner().invoke(app, arguments)
    assert "download: 3 files fetched" in fetched.output
    assert CliRunner().invoke(app, ["corpus", "download", str(rig.root), "--verify"]).exit_code == 0
    (rig.root / FIRST).write_bytes(b"")
    with pytest.raises(SystemExit) as exited:
        main(["corpus", "download", str(rig.root), "--verify"])
    assert exited.value.code == 1
    assert "corrupt" in capsys.readouterr().out
    assert CliRunner().invoke(app, [*arguments, "--verify"]).exit_code == 2

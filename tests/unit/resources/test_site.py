"""The site's file: what jobs get from it, and what it refuses."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from trustdag.errors import UserError
from trustdag.resources.site import Placement, Site, check_cluster, load

WriteSite = Callable[[str], Path]
ReadProfile = Callable[[Path], dict[str, Any]]

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "slurm" / "site.example.yaml"


@pytest.fixture
def site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSite:
    """Writes a site file and names it in the environment."""

    def write(text: str) -> Path:
        path = tmp_path / "site.yaml"
        path.write_text(text)
        monkeypatch.setenv("TRUSTDAG_SITE", str(path))
        return path

    return write


def test_without_wishes_jobs_go_to_the_clusters_defaults(site_file: WriteSite) -> None:
    site_file("")
    assert load() == Site()
    assert load().place(0) == load().place(4) == {}


def test_the_example_is_a_valid_site(site_file: WriteSite) -> None:
    site_file(EXAMPLE.read_text())
    site = load()
    assert site.place(0) == {"slurm_account": "my-lab", "slurm_partition": "short"}
    assert site.place(2) == {
        "slurm_account": "my-lab",
        "slurm_partition": "h100-preempt,a100-preempt",
        "constraint": "h100|a100",
        "qos": "preemptible",
        "slurm_extra": "--exclude=gpu013",
    }


def test_every_key_of_a_site_is_in_the_example() -> None:
    text = EXAMPLE.read_text()
    for name in [*Site.model_fields, *Placement.model_fields]:
        assert f"{name}:" in text, name


def test_a_job_is_placed_by_its_gpus_not_by_its_rule(site_file: WriteSite) -> None:
    site_file("gpu: {partition: a100, gpu_model: a100}")
    assert load().place(0) == {}
    assert load().place(1) == {"slurm_partition": "a100", "gpu_model": "a100"}


def test_a_job_on_several_nodes_gets_its_gpus_from_each_of_them(site_file: WriteSite) -> None:
    site_file("gpu: {gpu_model: a100, extra: --exclude=node13}")
    placed = load().place(8, nodes=2, cpus=16)
    assert placed["slurm_extra"] == "--exclude=node13 --gpus-per-node=a100:4"
    assert (placed["tasks"], placed["cpus_per_task"], placed["tasks_per_gpu"]) == (2, 16, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acount: x", "acount: unknown key"),
        ("gpu: {partion: x}", "gpu.partion: unknown key"),
        ("gpu: {partition: 'a; rm -rf /'}", "gpu.partition"),
        ("cpu: {gpu_model: a100}", "gpu_model has no meaning"),
        ("gpu: {extra: --mem=4G}", "--mem is set for each job"),
        ("gpu: {extra: '-p a100'}", "-p is set for each job"),
        ("gpu: {extra: --nice --time=3}", "--time is set for each job"),
        ("status_command: scontrol", "status_command"),
        ("jobs: 0", "jobs"),
        ("[", "not YAML"),
    ],
)
def test_a_wrong_site_file_is_refused_with_its_name_and_key(site_file: WriteSite, text: str, message: str) -> None:
    path = site_file(text)
    with pytest.raises(UserError) as caught:
        load()
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("extra", ["--exclude=gpu013", "--nice=100 --licenses=a", "--mail-type=FAIL", "--exclusive"])
def test_options_of_the_sites_own_are_accepted(extra: str) -> None:
    assert Placement(extra=extra).extra == extra


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTDAG_SITE", "/nowhere/site.yaml")
    with pytest.raises(UserError, match=r"/nowhere/site\.yaml: no such file"):
        load()


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of a cluster with two partitions, one GPU type, two features and one account."""
    answers = {
        "sbatch": "",
        "scontrol": "",
        "sinfo": """case "$*" in
            *%P*) echo 'main*'; echo gpu;;
            *%f*) echo 'a100,ib'; echo '(null)';;
            *) echo 'gpu:a100:4(S:0)'; echo '(null)';;
        esac""",
        "sacctmgr": 'case "$*" in *qos*) echo normal; echo preemptible;; *) echo research;; esac',
    }
    for name, body in answers.items():
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("fake_slurm")
def test_a_cluster_that_has_what_is_asked_for_is_accepted() -> None:
    gpu = Placement(partition="gpu,main", gpu_model="a100", constraint="[a100*2&ib]", qos="preemptible")
    check_cluster(Site(account="research", gpu=gpu))


@pytest.mark.usefixtures("fake_slurm")
@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site(cpu=Placement(partition="short")), "cpu.partition: no partition short; there are gpu, main"),
        (Site(gpu=Placement(gpu_model="h100")), "gpu.gpu_model: no GPU of type h100; there are a100"),
        (Site(gpu=Placement(constraint="a100|h100")), "gpu.constraint: no node with h100; there are a100, ib"),
        (Site(gpu=Placement(qos="high")), "gpu.qos: no QOS high; there are normal, preemptible"),
        (Site(account="physics"), "account: no account of yours is named physics; there are research"),
    ],
)
def test_what_the_cluster_lacks_is_named_with_what_there_is(site: Site, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"slurm/site.yaml: {message}")):
        check_cluster(site)


@pytest.mark.usefixtures("fake_slurm")
def test_a_cluster_that_is_down_is_named_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 'Slurmctld(primary) at host is DOWN'\nexit 1\n")
    with pytest.raises(UserError, match=r"Slurm does not answer: scontrol: .* at host is DOWN"):
        check_cluster(Site())


@pytest.mark.usefixtures("fake_slurm")
def test_a_cluster_whose_accounting_is_away_is_used_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sacctmgr").write_text("#!/bin/sh\necho 'Problem talking to the database' >&2\nexit 1\n")
    check_cluster(Site(account="research", gpu=Placement(qos="preemptible")))
    assert "sacctmgr: Problem talking to the database; going on" in capsys.readouterr().err


def test_a_machine_without_slurm_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="run on a login node"):
        check_cluster(Site())


# --- The profile ---


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch) -> ReadProfile:
    """The profile as Snakemake reads it, in a working directory and environment of the test's choice."""
    yte = pytest.importorskip("yte")

    def read(folder: Path) -> dict[str, Any]:
        monkeypatch.chdir(folder)
        with (ROOT / "slurm" / "config.v9+.yaml").open() as handle:
            settings: dict[str, Any] = yte.process_yaml(handle, require_use_yte=True)
        return settings

    monkeypatch.delenv("TRUSTDAG_SITE", raising=False)
    monkeypatch.delenv("SNAKEMAKE_OUTPUT_CACHE", raising=False)
    return read


def test_the_profile_works_as_it_stands(profile: ReadProfile, tmp_path: Path) -> None:
    settings = profile(tmp_path)
    assert (settings["executor"], settings["slurm-status-command"], settings["slurm-requeue"]) == (
        "slurm",
        "squeue",
        True,
    )
    assert "cache" not in settings


def test_the_profile_takes_its_part_of_the_sites_file(profile: ReadProfile, tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "site.yaml").write_text(yaml.safe_dump({"jobs": 7, "status_command": "sacct"}))
    settings = profile(tmp_path)
    assert (settings["jobs"], settings["slurm-status-command"]) == (7, "sacct")


def test_the_sites_file_is_found_beside_the_profile_from_any_folder(
    profile: ReadProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clone" / "slurm").mkdir(parents=True)
    (tmp_path / "clone" / "slurm" / "site.yaml").write_text(yaml.safe_dump({"jobs": 7}))
    monkeypatch.setattr(sys, "argv", ["snakemake", "--profile", str(tmp_path / "clone" / "slurm"), "-n"])
    assert profile(tmp_path)["jobs"] == 7


def test_the_profiles_defaults_are_the_sites(profile: ReadProfile, tmp_path: Path) -> None:
    settings = profile(tmp_path)
    assert settings["jobs"] == Site().jobs
    assert settings["slurm-init-seconds-before-status-checks"] == Site().first_poll
    assert settings["slurm-status-command"] == Site().status_command


def test_with_a_cache_the_profile_names_the_rules_that_it_reaches(
    profile: ReadProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path))
    assert {"base", "sft", "dpo", "ppo"} <= set(profile(tmp_path)["cache"])


def test_no_profile_key_names_a_partition_or_an_account() -> None:
    text = (ROOT / "slurm" / "config.v9+.yaml").read_text()
    keys = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert not any(word in line for line in keys for word in ("slurm_partition", "slurm_account"))


BROKEN = {
    "a list": (b"- account\n", "a mapping of keys"),
    "a word": (b"research\n", "a mapping of keys"),
    "a tab": (b"cpu:\n\tpartition: x\n", "not YAML"),
    "not closed": (b"cpu: {partition: x\n", "not YAML"),
    "latin-1": ("account: m\u00fcller\n".encode("latin-1"), "not YAML"),
    "deep": (b"[" * 5000, "not YAML"),
    "unknown key": (b"acount: lab\n", "did you mean `account`"),
    "no number": (b"jobs: many\n", "jobs: "),
    "a negative number": (b"first_poll: -1\n", "first_poll: "),
    "an unknown command": (b"status_command: qstat\n", "status_command: "),
    "a section that is a text": (b"gpu: a100\n", "gpu: "),
}


@pytest.mark.parametrize(("content", "complaint"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_file_of_the_site_is_named_and_does_not_break_the_profile(
    content: bytes, complaint: str, profile: ReadProfile, site_file: WriteSite, tmp_path: Path
) -> None:
    path = site_file("")
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"{path}: ") + f".*{re.escape(complaint)}"):
        load()
    settings = profile(tmp_path)
    assert settings["jobs"] == Site().jobs
    assert settings["slurm-init-seconds-before-status-checks"] == Site().first_poll

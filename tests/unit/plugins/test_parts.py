"""Parts of one's own: where they are found, what they have to define, and what their files may be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trustdag import align, data, scorers, verticals
from trustdag.cli import main
from trustdag.commands.new import text
from trustdag.config import load
from trustdag.errors import UserError
from trustdag.fingerprint import code_of
from trustdag.plugins import files, kinds

ROOT = Path(__file__).parents[3]
KINDS = {"vertical": verticals.KIND, "scorer": scorers.KIND, "method": align.KIND, "preferences": data.KIND}


def write(folder: Path, kind: str, name: str = "mine", **replaced: str) -> Path:
    """A template in `folder`, in which each text of `replaced` (by any name) stands for what is before its `=>`."""
    content = text(kind, name)
    for change in replaced.values():
        before, _, after = change.partition("=>")
        assert before in content, before
        content = content.replace(before, after)
    path = folder / f"{name}.py"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_keeps_the_contract_and_is_short(kind: str, tmp_path: Path) -> None:
    files.use([write(tmp_path, kind)])
    assert "mine" in kinds.parts(KINDS[kind])
    assert len(text(kind, "mine").splitlines()) < 60


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_parts_keep_the_contract_too(kind: str) -> None:
    for name, module in kinds.shipped(KINDS[kind]).items():
        assert list(KINDS[kind].contract(module, name)) == []


def test_parts_are_looked_up_in_one_place() -> None:
    by_name = re.compile(r"import_module\(f?[\"']trustdag\.(verticals|scorers|align|data)\b")
    lookups = [
        str(path) for path in (ROOT / "workflow").rglob("*.py") if by_name.search(path.read_text(encoding="utf-8"))
    ]
    assert lookups == [], "a plugin lies elsewhere: `verticals.vertical(name)` and the like know it"


BROKEN = [
    ("vertical", 'GOLD = ("topic",)=>GOLDEN = 1', "`GOLD` is missing (the items' own columns that `score` reads"),
    ("vertical", 'GOLD = ("topic",)=>GOLD = "topic"', "`GOLD` is not a tuple of texts"),
    ("vertical", "VERSION = 1=>VERSION = '1'", "`VERSION` is not an int"),
    ("vertical", "def score(=>def scores(", "`score` is missing"),
    ("vertical", "def items(settings: Items)=>def items()", "`items` cannot be called as `items(settings)`"),
    ("vertical", "headline=True=>headline=False", "has 0 headline metrics"),
    ("vertical", "headline=True=>headline=True, statistic='median'", "has the statistic `median`; there are mean"),
    ("vertical", "(VerticalSettings)=>(Section)", "`Settings` is not a class that derives from VerticalSettings"),
    (
        "vertical",
        "class Score(ScoreSection)=>class Score(Section)",
        "`Settings.score` is no class that derives from Score",
    ),
    ("vertical", "    generate: GenerateSettings\n=>", "`Settings` lacks the fields `generate`"),
    ("vertical", 'facets=("topic",)),)=>facets=("group",)),)', "the facet `group`, which `GOLD` lacks"),
    ("scorer", "class Settings(ScorerSection)=>class Section(ScorerSection)", "`Settings` is missing"),
    ("scorer", 'Literal["mine"] = "mine"=>Literal["other"] = "other"', "`Settings.name` is not written"),
    ("scorer", "def load(=>def loaded(", "`Settings.load(self)` is missing"),
    ("method", "def cost(=>def costs(", "`cost` is missing"),
    ("method", 'REQUIRES = ("policy",)=>REQUIRES = ("judge",)', "`REQUIRES` is ('judge',)"),
    ("method", 'PRODUCES = "policy"=>PRODUCES = "judge"', "`PRODUCES` is 'judge'"),
    ("preferences", "def read(settings: Settings)=>def read()", "`read` cannot be called as `read(settings)`"),
    ("preferences", "def files(=>def filed(", "`files` is missing"),
    ("preferences", 'Literal["mine"] = "mine"=>str', "`Settings.source` is not written"),
]


@pytest.mark.parametrize(("kind", "change", "message"), BROKEN, ids=[f"{kind}: {said}" for kind, _, said in BROKEN])
def test_what_is_missing_is_named_with_the_file_and_the_page(
    kind: str, change: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, kind, change=change)
    files.use([path])
    with pytest.raises(UserError) as error:
        kinds.parts(KINDS[kind])
    assert str(error.value).startswith(f"{path}: no {kind} yet: ")
    assert message in str(error.value)
    page, _, anchor = str(error.value).rpartition("see ")[2].partition("#")
    assert f"## {anchor.replace('-', ' ')}" in (ROOT / page).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.py", "x = 1\n", "set PLUGIN to one of 'vertical', 'scorer', 'method', 'preferences'"),
        ("mine.py", "PLUGIN = 'vertcal'\n", "(got 'vertcal'); did you mean `vertical`?"),
        ("mine.py", "PLUGIN = 'vertical'\ndef f(:\n", "not a Python file"),
        ("My-part.py", "PLUGIN = 'vertical'\n", "small letters, digits and _"),
        ("mine.txt", "PLUGIN = 'vertical'\n", "small letters, digits and _"),
    ],
)
def test_a_file_that_is_no_plugin_is_refused_before_it_is_run(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=name) as error:
        files.use([path])
    assert message in str(error.value)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory"):
        files.use([tmp_path / "gone.py"])


def test_an_error_while_a_file_is_loaded_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("PLUGIN = 'scorer'\n\nimport a_module_beside\n")
    files.use([path])
    with pytest.raises(UserError, match=r"mine\.py:3: .*ModuleNotFoundError.*no file beside it"):
        scorers.scorers()


@pytest.mark.parametrize(("kind", "name"), [("vertical", "bias"), ("scorer", "toy"), ("method", "dpo")])
def test_the_name_of_a_shipped_part_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    files.use([write(tmp_path, kind, name)])
    with pytest.raises(UserError, match=f"the {kind} `{name}` is also defined by trustdag's own"):
        kinds.parts(KINDS[kind])


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files.use([write(tmp_path, "vertical"), write(tmp_path / "other", "vertical")])
    with pytest.raises(UserError, match=r"also defined by .*mine\.py; rename one of them"):
        verticals.verticals()


def study(folder: Path, **keys: object) -> Path:
    """The smoke study with other keys, in `folder`."""
    content = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    (folder / "study.yaml").write_text(yaml.safe_dump(content | keys), encoding="utf-8")
    return folder / "study.yaml"


def test_a_study_names_plugins_relative_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    write(tmp_path, "vertical")
    path = study(tmp_path, plugins=["mine.py"], verticals={"mine": {"score": {"words": 3}}})
    assert load.load(path).verticals_measured()["mine"].score.words == 3


def test_where_plugins_lie_changes_no_result(tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "vertical")
        digests.add(load.digest(load.load(study(tmp_path / name, plugins=["mine.py"], verticals={"mine": {}}))))
    assert len(digests) == 1


def test_a_method_may_not_be_called_as_a_rule_is(tmp_path: Path) -> None:
    write(tmp_path, "method", "score")
    with pytest.raises(UserError, match="the method `score` has the name of a rule"):
        load.load(study(tmp_path, plugins=["score.py"]))


@pytest.mark.parametrize("value", ["mine.py", [1], {"a": "b"}])
def test_plugins_are_a_list_of_texts(value: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="plugins: write a list of Python files"):
        load.load(study(tmp_path, plugins=value))


def test_a_study_without_plugins_forgets_those_of_another(tmp_path: Path) -> None:
    write(tmp_path, "vertical")
    load.load(study(tmp_path, plugins=["mine.py"]))
    load.load(study(tmp_path))
    assert "mine" not in verticals.verticals()


def test_check_says_which_files_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "vertical")
    assert main(["check", str(study(tmp_path, name="other", plugins=["mine.py"]))]) == 0
    assert f"runs the plugins that the study names: {path}" in capsys.readouterr().err


def test_check_without_plugins_runs_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"PLUGIN = 'scorer'\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n")
    theirs = study(tmp_path, name="other", plugins=["mine.py"])
    assert main(["check", "--no-plugins", str(theirs)]) == 2
    assert f"none was run: {path} (scorer)" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert main(["check", "--no-plugins", str(study(tmp_path, name="other"))]) == 0


def test_the_code_of_a_plugin_changes_with_it_and_not_with_comments(tmp_path: Path) -> None:
    path = write(tmp_path, "vertical")
    files.use([path])
    before, others = code_of("verticals.mine"), code_of("verticals.bias")
    path.write_text(path.read_text() + "\n# a comment\n")
    assert code_of("verticals.mine") == before
    path.write_text(path.read_text().replace("> settings.words", ">= settings.words"))
    assert code_of("verticals.mine") != before
    assert code_of("verticals.bias") == others


def test_the_code_of_a_plugin_counts_what_it_imports_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    codes = set()
    for folder in (tmp_path, tmp_path / "other"):
        files.use([write(folder, "method")])
        codes.add(code_of("align.mine"))
    assert len(codes) == 1
    other = "from trustdag.align.dpo import train as _\n"
    files.use([write(tmp_path, "method", change=f"from trustdag.train.cost=>{other}from trustdag.train.cost")])
    assert code_of("align.mine") not in codes


PACKAGE = {
    "mylab/__init__.py": "",
    "mylab/shared.py": "WORDS = 7\n",
    "mylab-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mylab\nVersion: 1.0\n",
    "mylab-1.0.dist-info/entry_points.txt": "[trustdag.verticals]\nconciseness = mylab.concise\n",
}
COMMAND = """
import os, sys
from trustdag.fingerprint import code_of
from trustdag.plugins import packages
from trustdag.verticals import vertical
packages.announce()
print(vertical("conciseness").VERSION, code_of("verticals.conciseness"), os.environ[packages.VARIABLE])
"""


def installed(folder: Path, command: str, **variables: str) -> str:
    """The output of Python code in a process whose path begins with `folder`."""
    environment = {"PYTHONPATH": f"{folder}:{ROOT / 'workflow'}", "PATH": ""} | variables
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_adds_parts_and_its_own_modules_are_code(tmp_path: Path) -> None:
    # Given a package with an entry point, whose module imports another of the package
    site, empty = tmp_path / "site", tmp_path / "empty"
    for name, content in PACKAGE.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(content)
    empty.mkdir()
    write(site / "mylab", "vertical", "concise", change="QUESTIONS = =>from mylab.shared import WORDS\nQUESTIONS = ")
    # When it is installed, then its part is known
    version, code, announced = installed(site, COMMAND).split(" ", 2)
    assert version == "1"
    # And in a job whose Python lacks it, by what the workflow announced
    job = installed(empty, COMMAND, TRUSTDAG_PACKAGES=announced.strip())
    assert job.split(" ", 2)[:2] == [version, code]
    # And an edit of what the module imports is an edit of its code
    (site / "mylab" / "shared.py").write_text("WORDS = 8\n")
    assert installed(site, COMMAND).split(" ")[1] != code

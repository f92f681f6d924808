"""Reading resources from files: each problem with its line, and the last good state of a broken file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.cluster.crd_cases import CASES, Case

from umbel_operator.local.documents import BrokenFile, Document, read_documents
from umbel_operator.local.files import Declared, Files
from umbel_operator.local.validation import check, check_change

QUEUE = "apiVersion: umbel.dev/v1alpha1\nkind: TaskQueue\nmetadata:\n  name: {name}\nspec: {spec}\n"


def queue(name: str = "mail", spec: str = "{}") -> str:
    return QUEUE.format(name=name, spec=spec)


def problems(declared: Declared) -> list[str]:
    return [f"{p.place.path.name}:{p.place.line}: {p.message}" for p in declared.problems]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_each_acceptance_case_of_the_crds_ends_as_on_an_api_server(case: Case, tmp_path: Path) -> None:
    """Given a case, when it is checked as a file, then it is accepted, or refused with words that name the reason."""
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(case.body()), encoding="utf-8")
    (document,) = read_documents(path)
    found = check(document)
    if not found and case.update is not None:
        changed = Document({**case.body(), "spec": case.update}, path, {})
        found = check(changed) or check_change(case.body(), changed)

    assert (not found) == case.accepted, found


def test_every_problem_has_the_line_of_its_field(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(
        """\
apiVersion: umbel.dev/v1alpha1
kind: WorkerPool
metadata:
  name: Readers
spec:
  queues:
    - name: texts
      weigth: 2
  app: "tasks; rm"
  replicas: "2"
  drain:
    onTimeout: Explode
""",
        encoding="utf-8",
    )
    found = problems(Files([tmp_path]).read())

    assert [line.split(" WorkerPool")[0] for line in found] == [
        "pool.yaml:4:",
        "pool.yaml:5:",
        "pool.yaml:9:",
        "pool.yaml:10:",
        "pool.yaml:12:",
        "pool.yaml:8:",
    ]
    text = "\n".join(found)
    assert "metadata.name is 'Readers'; it must consist of lower case letters" in text
    assert "spec.image is missing" in text
    assert "spec.replicas: '2' is not of type 'integer'" in text
    assert "spec.drain.onTimeout: 'Explode' is not one of ['Requeue', 'Fail']" in text
    assert "spec.queues[0].weigth: there is no such field; did you mean weight?" in text


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a:\n  [1,\n", 3, "is not YAML: expected the node content, but found '<stream end>' while parsing a flow"),
        ("kind: X\nkind: Y\n", 2, "the key kind stands here twice, first on line 1"),
        ("- 1\n", 1, "an object was expected"),
        ("a: 1\n---\n\tb: 2\n", 3, "is not YAML"),
        ("a: @b\n", 1, "is not YAML"),
    ],
)
def test_what_is_no_object_is_told_with_its_line(text: str, line: int, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BrokenFile) as told:
        read_documents(path)
    assert (told.value.problems[0].place.line, says in told.value.problems[0].message) == (line, True), told.value


def test_times_stay_texts_and_lists_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("kind: List\nitems:\n  - kind: A\n    at: 2026-01-01T00:00:00Z\n---\n# nothing\n", encoding="utf-8")
    (document,) = read_documents(path)
    assert document.body == {"kind": "A", "at": "2026-01-01T00:00:00Z"}
    assert document.place(("at",)).line == 4


def test_a_file_is_read_as_it_is_and_a_folder_without_what_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deep.yaml").write_text(queue("deep"), encoding="utf-8")
    (tmp_path / "one.yml").write_text(queue("one"), encoding="utf-8")
    (tmp_path / "two.txt").write_text(queue("two"), encoding="utf-8")

    assert {name for _, _, name in Files([tmp_path]).read().resources} == {"one"}
    assert {name for _, _, name in Files([tmp_path / "two.txt"]).read().resources} == {"two"}


def test_a_broken_file_keeps_its_last_good_resources_and_the_others_go_on(tmp_path: Path) -> None:
    """Given two files, when one breaks and the other grows, then the broken one counts as it was."""
    mail, books = tmp_path / "mail.yaml", tmp_path / "books.yaml"
    mail.write_text(queue("mail"), encoding="utf-8")
    books.write_text(queue("books"), encoding="utf-8")
    files = Files([tmp_path])
    assert len(files.read().resources) == 2

    mail.write_text("{", encoding="utf-8")
    books.write_text(queue("books") + "---\n" + queue("more"), encoding="utf-8")
    declared = files.read()
    assert {name for _, _, name in declared.resources} == {"mail", "books", "more"}
    assert len(declared.problems) == 1

    mail.write_text("", encoding="utf-8")
    declared = files.read()
    assert ("TaskQueue", "default", "mail") in declared.resources
    assert problems(declared) == ["mail.yaml:1: is empty; delete the file to remove its resources"]

    mail.unlink()
    declared = files.read()
    assert {name for _, _, name in declared.resources} == {"books", "more"}
    assert not declared.problems


def test_a_name_that_is_declared_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(queue("mail", "{dispatch: Held}"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(queue("mail"), encoding="utf-8")
    declared = Files([tmp_path]).read()
    assert declared.resources["TaskQueue", "default", "mail"].body["spec"] == {"dispatch": "Held"}
    assert "TaskQueue mail is declared twice, first at " in problems(declared)[0]
    assert problems(declared)[0].startswith("b.yaml:1: ")


def test_what_is_not_ours_is_left_out_with_a_note(tmp_path: Path) -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\nversion: 3\n---\n"
    (tmp_path / "a.yaml").write_text(text + "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n", encoding="utf-8")
    declared = Files([tmp_path]).read()
    assert not declared.resources
    assert not declared.problems
    assert list(declared.data) == [("Secret", "default", "keys")]
    assert ["Deployment web is left out" in declared.notes[0], "without apiVersion" in declared.notes[1]] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("apiVersion: umbel.dev/v1alpha1", "apiVersion: umbel.dev/v1", "'umbel.dev/v1' is not known here; write umbel"),
        ("kind: TaskQueue", "kind: Taskqueue", "did you mean TaskQueue?"),
        ("kind: TaskQueue", "kind: Pod", "the kinds are Broker, TaskQueue, WorkerPool, Schedule"),
        ("name: mail", "nome: mail", "metadata.name is ''"),
        ("name: mail", "name: mail\n  namespace: My Shop", "metadata.namespace is 'My Shop'"),
    ],
)
def test_kinds_and_names_that_are_wrong_are_told_with_what_to_write(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(queue().replace(old, new), encoding="utf-8")
    assert says in "\n".join(problems(Files([tmp_path]).read()))

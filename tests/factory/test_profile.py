"""A profile from tasks: what is asked, what counts, and what a run that was cut goes on with."""

import msgspec
import pytest

from weebill.auto.kinds import KINDS
from weebill.factory.checkers import Answer, Says
from weebill.factory.profile import Answers, AskError, Graded, Outcome, grade, summarise
from weebill.factory.tasks import Message, Task, TasksError, needles, read_tasks


def task(name: str, **given) -> Task:
    kinds = {"kind": "fact", "messages": (Message("user", name),), "checks": (Says(("yes",)),), "max_tokens": 8}
    return Task(id=name, **(kinds | given))


def collected(tasks, ask) -> dict[str, Outcome]:
    answers = Answers(ask, {}, lambda _: None)
    assert answers.collect(tasks)
    return answers.outcomes


def summary(graded: list[Graded]):
    return summarise("Maker/Model", graded, date="2025-01-02", source="tasks", settings={"temperature": 0.0})


def test_the_tasks_of_the_package_cover_the_kinds_of_text_in_ten_languages():
    tasks = read_tasks()
    asked = {}
    for each in tasks:
        asked.setdefault((each.kind, each.language), []).append(each)
    assert {kind for kind, _ in asked} == set(KINDS) - {"media", "other"}
    assert all(len(asked[kind, "en"]) >= 14 for kind in set(KINDS) - {"media", "other"})
    everyday = {}
    for each in tasks:
        if each.everyday:
            everyday.setdefault(each.language, set()).add((each.everyday, each.kind))
    assert set(everyday) == {"en", "es", "fr", "de", "it", "pt", "zh", "ja", "ar", "hi"}
    assert len({frozenset(questions) for questions in everyday.values()}) == 1
    assert sum(each.follow_up for each in tasks) >= 12
    assert all(len(each.messages) == 3 for each in tasks if each.follow_up)


def test_silence_and_a_parrot_are_right_about_nothing():
    tasks = read_tasks()
    for ask in (lambda _: Answer(), lambda asked: Answer("I do not know, I am only a model.")):
        outcomes = collected(tasks, ask)
        assert [each.task.id for each in grade(tasks, outcomes) if each.right] == []


def test_needles_are_found_by_their_code():
    for size in (256, 1024):
        for each in needles(size):
            code = each.checks[0].any[0]
            assert each.messages[0].content.count(code) == 1
            assert 0.6 * size < len(each.messages[0].content.split()) < size


def test_longer_texts_are_tried_until_most_needles_are_missed():
    def ask(wanted: Task) -> Answer:
        found = wanted.size < 1024 or wanted.id.endswith("-1")
        return Answer(wanted.checks[0].any[0] if found else "?")

    answers = Answers(ask, {}, lambda _: None)
    tasks = answers.collect_needles(8192)
    assert sorted({each.size for each in tasks}) == [256, 512, 1024]
    assert summary(grade(tasks, answers.outcomes)).context == 512
    assert {each.size for each in Answers(ask, {}, lambda _: None).collect_needles(300)} == {256}


def test_only_what_was_not_answered_is_asked():
    tasks = [task("a"), task("b"), task("c")]
    asked, kept = [], []

    def ask(wanted: Task) -> Answer:
        asked.append(wanted.id)
        if wanted.id == "c":
            raise AskError("too long")
        return Answer("Yes.")

    first = collected(tasks[:1], ask)
    answers = Answers(ask, first, kept.append)
    assert answers.collect(tasks)
    assert asked == ["a", "b", "c"]
    assert [each.task for each in kept] == ["b", "c"]
    assert [each.right for each in grade(tasks, answers.outcomes)] == [True, True, False]
    assert answers.outcomes["c"].failed == "too long"


def test_no_task_is_begun_after_the_deadline():
    answers = Answers(lambda _: Answer("yes"), {"a": Outcome("a")}, lambda _: None)
    assert answers.collect([task("a")], deadline=0.0)
    assert not answers.collect([task("a"), task("b")], deadline=0.0)
    assert set(answers.outcomes) == {"a"}


def test_kinds_count_in_english_and_languages_on_the_everyday_questions():
    graded = [
        Graded(task("Who is she?"), True),
        Graded(task("Where is it?", guess=0.5), False),
        Graded(task("What is 2 + 3?", kind="maths", follow_up=True), True),
        Graded(task("Who?", everyday="x"), True),
        Graded(task("5", everyday="x", language="es"), False),
        *(
            Graded(task(f"n{size}{at}", kind="needle", size=size), at < good)
            for size, good in ((256, 3), (512, 2), (1024, 1), (2048, 3))
            for at in range(3)
        ),
    ]
    found = summary(graded)
    assert found.models == ("model",)
    assert msgspec.to_builtins(found.kinds) == {"fact": [0.6667, 3, 0.1667], "maths": [1.0, 1, 0.0]}
    assert msgspec.to_builtins(found.languages) == {"en": [1.0, 1, 0.0], "es": [0.0, 1, 0.0]}
    assert found.follow_up is not None
    assert found.follow_up.right == 1.0
    assert found.context == 512


def test_a_task_counts_for_what_the_gateway_takes_it_for_too():
    found = summary([Graded(task("Who is she?", kind="reasoning"), False), Graded(task("Who is he?"), True)])
    assert msgspec.to_builtins(found.kinds) == {"fact": [0.5, 2, 0.0], "reasoning": [0.0, 1, 0.0]}


def test_files_that_are_no_tasks_are_refused(tmp_path):
    file = tmp_path / "tasks.jsonl"
    for content, said in (
        ("", "no tasks"),
        ("{}\n", "line 1"),
        (2 * (msgspec.json.encode(task("a")).decode() + "\n"), "one id"),
    ):
        file.write_text(content)
        with pytest.raises(TasksError, match=said):
            read_tasks(file)

"""Workers: a line in, a line out; what misbehaves ends, with all that it started."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time

import pytest
from processes import comes, gone, living, marked, needs_proc

from dse.process import worker as workers
from dse.process.limits import Limits
from dse.process.together import Stopped, ended_together
from dse.process.worker import Worker, WorkerEnded

ECHO = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"


def worker(code, timeout_s=20.0, **limits):
    return Worker([sys.executable, "-c", code], Limits(timeout_s, **limits))


def test_questions_are_answered():
    one, two = worker(ECHO), worker(ECHO)
    for number in range(3):
        assert one.ask(f"a{number}") == f"A{number}"
        assert two.ask("ä" * 200_000) == "Ä" * 200_000
    one.close()
    one.close()
    assert one.ended
    assert not two.ended
    assert two.ask("b") == "B"
    two.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import time; time.sleep(60)", "gave no answer in 3 s"),
        ("import sys; sys.stdin.readline(); sys.exit(3)", "ended with exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("import os, time; os.close(1); time.sleep(60)", "closed its output"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "answered without an end"),
        ("for _ in open(0): print('an answer\\nmore', flush=True)", "said more than it was asked"),
        ("x = bytearray(1 << 30)", "ended with exit status 1"),
    ],
)
def test_one_that_misbehaves_ends(code, said, monkeypatch):
    monkeypatch.setattr(workers, "_LONGEST", 2**20)
    made = worker(code, 3.0, memory_bytes=2**29)
    with pytest.raises(WorkerEnded) as ended:  # noqa: PT012
        for _ in range(3):
            made.ask("a question")
    assert said in ended.value.what
    assert made.ended


def test_what_it_printed_is_told_and_bounded():
    code = (
        "import sys\nfor line in sys.stdin:\n"
        "    print('x' * 1000000, file=sys.stderr)\n    print('a clue', file=sys.stderr)\n"
        "    sys.stderr.flush()\n    if 'end' in line: sys.exit(1)\n    print(flush=True)"
    )
    made = worker(code, output_bytes=1000)
    for _ in range(20):  # it is drained, else the worker would wait
        made.ask("go on")
    with pytest.raises(WorkerEnded) as ended:
        made.ask("end")
    assert ended.value.printed.endswith("a clue\n")
    assert len(ended.value.printed) < 2**18


@needs_proc
def test_what_it_started_ends_with_it():
    word = marked()
    code = (
        "import subprocess, sys\n"
        f"subprocess.Popen(['sh', '-c', 'sleep 100; : {word}'], start_new_session=True)\n" + ECHO
    )
    made = worker(code)
    assert made.ask("a") == "A"
    assert living(word)
    made.close()
    assert living(word) == []


@needs_proc
def test_one_that_nobody_holds_any_more_ends():
    word = marked()
    made = worker(f"'{word}'\n{ECHO}")
    assert made.ask("a") == "A"
    del made
    gc.collect()
    assert gone(word)


@needs_proc
def test_a_killed_one_is_known_to_have_ended():
    word = marked()
    made = worker(f"'{word}'\n{ECHO}")
    made.ask("a")
    for process in living(word):
        os.kill(process, signal.SIGKILL)
    assert comes(lambda: made.ended)
    with pytest.raises(WorkerEnded, match="was killed by signal 9"):
        made.ask("b")


def test_one_that_is_ended_with_others_is_no_failure_of_its_own():
    idle, asked, errors = worker(ECHO), worker("import time; time.sleep(600)", 600.0), []

    def ask():
        try:
            asked.ask("a")
        except Stopped as error:
            errors.append(error)

    with pytest.raises(KeyError), ended_together() as scope:  # noqa: PT012
        thread = threading.Thread(target=scope.within(ask))
        thread.start()
        idle.ask("b")
        while len(scope._members) < 1:
            time.sleep(0.01)
        raise KeyError
    thread.join(30)
    assert len(errors) == 1
    assert asked.ended
    assert idle.ask("c") == "C"  # nobody waited for it
    idle.close()


@needs_proc
def test_one_ends_with_those_that_it_was_made_among():
    """Though it has been asked, and has nothing to do; and it may be used after them."""
    word = marked()
    with pytest.raises(KeyError), ended_together():  # noqa: PT012
        made = worker(f"'{word}'\n{ECHO}")
        assert made.ask("a") == "A"
        assert living(word)
        raise KeyError
    assert living(word) == []
    with ended_together():
        made = worker(ECHO)
        assert made.ask("a") == "A"
    assert made.ask("b") == "B"
    made.close()


@needs_proc
def test_none_is_started_among_those_that_end():
    word = marked()
    with pytest.raises(KeyError), ended_together() as scope:
        raise KeyError
    with pytest.raises(Stopped):
        scope.within(worker)(f"'{word}'")
    assert living(word) == []

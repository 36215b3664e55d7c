"""Programs within limits: what goes over them, what they leave behind, and who ends with whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import gone, living, marked, needs_proc, there

from dse.errors import ToolError
from dse.process import folder as folders
from dse.process.folder import own_folder, result_text
from dse.process.limits import Limits
from dse.process.run import communicate, run
from dse.process.together import Stopped, ended_together

KB = 1024
#: Little, so that a test that fails does no harm either.
SMALL = Limits(20.0, file_bytes=64 * KB, folder_bytes=512 * KB)


def shell(text, folder, limits=SMALL, **variables):
    return run(["/bin/sh", "-c", text, marked()], folder, limits, variables)


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_output_and_status_come_back(tmp_path):
    done = shell("echo out; echo error >&2; echo $ANSWER; pwd; cat; exit 3", tmp_path, ANSWER="42")
    assert done.returncode == 3
    assert done.output == f"out\nerror\n42\n{tmp_path}\n"
    assert (tmp_path / "output.txt").read_text() == done.output
    assert done.command.startswith(f"cd {tmp_path} && ANSWER=42 /bin/sh -c ")


def test_temporary_files_of_a_program_lie_in_its_folder(tmp_path):
    assert shell("mktemp", tmp_path).output.startswith(f"{tmp_path}/")


def test_arguments_and_variables_of_any_bytes_come_through(tmp_path):
    word = b"\xff\xc3\xa4 '\"".decode(errors="surrogateescape")
    done = run(["/bin/sh", "-c", 'printf %s "$1$A" | od -An -tx1', "sh", word], tmp_path, SMALL,
               {"A": word})  # fmt: skip
    assert bytes.fromhex(done.output) == 2 * os.fsencode(word)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/nowhere/at/all", "cannot be started: No such file or directory"),
        ("/etc/passwd", "cannot be started: Permission denied"),
        ("/bin", "cannot be started: Permission denied"),
        ("a\0b", "cannot be started: .*embedded null"),
    ],
)
def test_what_cannot_be_started_is_told(tmp_path, command, said):
    with pytest.raises(ToolError, match=said):
        run([command], tmp_path, SMALL)


def test_signals_are_as_at_a_start_of_its_own(tmp_path):
    """Neither what Python ignores, nor what the launcher does, is inherited."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux shows them")
    done = run(["/bin/sh", "-c", "cat /proc/self/status"], tmp_path, SMALL)
    for key in ("SigIgn", "SigBlk"):
        assert int(done.output.partition(f"{key}:")[2].split()[0], 16) == 0, key


def test_no_descriptor_of_ours_is_left_to_it(tmp_path):
    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux shows them")
    with (tmp_path / "ours").open("w"):
        done = run(["/bin/ls", "/proc/self/fd"], tmp_path, SMALL)
    assert done.output.split() == ["0", "1", "2", "3"]  # the last one is of the folder listed


def test_a_large_file_ends_its_writer(tmp_path):
    done = run(["/usr/bin/head", "-c", "10000000", "/dev/zero"], tmp_path, SMALL)
    assert (done.returncode, len(done.output)) == (0, 10_000_000)  # it is printed, in no file
    done = shell("exec head -c 10000000 /dev/zero > large", tmp_path)
    assert done.returncode == -signal.SIGXFSZ
    assert (tmp_path / "large").stat().st_size == 64 * KB


def test_a_large_folder_ends_its_writers(tmp_path):
    with pytest.raises(ToolError, match="wrote too many files, or more than"):
        shell("i=0; while :; do i=$((i + 1)); head -c 60000 /dev/zero > $i; done", tmp_path)
    # what is written between two looks comes on top
    assert 512 * KB < size(tmp_path) < 64 * 2**20


def test_too_many_files_end_their_writer(tmp_path):
    code = "import itertools\nfor i in itertools.count(): open(str(i), 'w').close()"
    with pytest.raises(ToolError, match="wrote too many files"):
        run([sys.executable, "-c", code], tmp_path, SMALL)


def test_time_is_limited_for_all(tmp_path):
    word = marked()
    with pytest.raises(ToolError, match=r"ran for more than 0\.5 s"):
        run(["/bin/sh", "-c", f"sh -c 'sleep 600; : {word}' & sleep 600; : {word}"], tmp_path,
            Limits(0.5))  # fmt: skip
    assert living(word) == []


@needs_proc
def test_memory_of_all_is_limited(tmp_path):
    hungry = f"{sys.executable} -c 'x = bytearray(80 << 20); import time; time.sleep(60)'"
    limits = Limits(60.0, memory_bytes=256 * 2**20)
    alone = run([sys.executable, "-c", "bytearray(400 << 20)"], tmp_path, limits)
    assert "MemoryError" in alone.output
    command = ["/bin/sh", "-c", f"{hungry} & {hungry} & {hungry} & {hungry} & wait"]
    with pytest.raises(ToolError, match="used more than 256 MB of memory with all that it"):
        run(command, tmp_path, limits)


@needs_proc
def test_processes_are_limited(tmp_path):
    word = marked()
    with pytest.raises(ToolError, match="started more than 20 processes"):
        run(["/bin/sh", "-c", f"while :; do sleep 600 & : {word}; done"], tmp_path,
            Limits(60.0, processes=20))  # fmt: skip
    assert living(word) == []


def test_output_is_kept_as_beginning_and_end(tmp_path):
    limits = Limits(60.0, output_bytes=1000)
    done = run(["/bin/sh", "-c", "seq 100000"], tmp_path, limits)
    assert done.output.startswith("1\n2\n3\n")
    assert done.output.endswith("\n99999\n100000\n")
    assert "bytes left out]" in done.output
    # pieces of what is read are kept whole
    assert len(done.output) < 1000 + 2**17


def test_output_without_end_is_drained_until_the_time_is_over(tmp_path):
    with pytest.raises(ToolError, match=r"yes ran for more than 1 s\nit printed:\n  y\n"):
        run(["/usr/bin/yes"], tmp_path, Limits(1.0, output_bytes=10_000))
    assert size(tmp_path) < 200_000


ORPHAN = """
( setsid /bin/sh -c '
    i=0
    while :; do i=$((i + 1)); head -c 30000 /dev/zero > "$1/$i"; done
' {word} "$1" & )
sleep 0.3
echo done
"""


@needs_proc
def test_an_orphan_ends_with_its_program(tmp_path):
    """It has left the group and the session, has no parent, and writes without end."""
    word = marked()
    (tmp_path / "own").mkdir()
    text = ORPHAN.replace("{word}", word)
    done = run(["/bin/sh", "-c", text, "sh", str(tmp_path / "own")], tmp_path / "own",
               Limits(20.0, file_bytes=64 * KB, folder_bytes=2**30))  # fmt: skip
    assert done.output == "done\n"
    assert living(word) == []
    written = size(tmp_path)
    assert written > 0
    time.sleep(0.3)
    assert size(tmp_path) == written


@needs_proc
def test_an_orphan_has_limits(tmp_path):
    """A file elsewhere, which nobody looks at, grows no further than any file."""
    word, elsewhere = marked(), tmp_path / "elsewhere"
    text = f"( setsid /bin/sh -c 'exec yes {word} > {elsewhere}' & ); sleep 20"
    with (
        own_folder(tmp_path, keep=False) as folder,
        pytest.raises(ToolError, match="more than 2 s"),
    ):
        run(["/bin/sh", "-c", text], folder, Limits(2.0, file_bytes=100 * KB))
    assert living(word) == []
    assert elsewhere.stat().st_size == 100 * KB


@needs_proc
def test_an_orphan_that_fills_the_folder_is_stopped(tmp_path):
    word = marked()
    text = ORPHAN.replace("{word}", word).replace("sleep 0.3", "sleep 600")
    with pytest.raises(ToolError, match="wrote too many files"):
        run(["/bin/sh", "-c", text, "sh", str(tmp_path)], tmp_path, SMALL)
    assert living(word) == []
    assert size(tmp_path) < 64 * 2**20


@needs_proc
def test_all_end_with_a_killed_dse(tmp_path):
    """And its folder goes when the next one begins."""
    word = marked()
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from dse.process.folder import own_folder\nfrom dse.process.limits import Limits\n"
        "from dse.process.run import run\n"
        "with own_folder(Path(sys.argv[1])) as folder:\n"
        "    run(['/bin/sh', '-c', sys.argv[2]], folder, Limits(100.0))\n"
    )
    text = f"( setsid sh -c 'sleep 100; : {word}' & ); sh -c 'sleep 100; : {word}'"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), text]) as process:
        assert there(word, 3)  # this process's own command line has the word, too
        process.kill()
    assert gone(word)
    assert len(list(tmp_path.iterdir())) == 1
    folders._sweep.cache_clear()
    with own_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_folders_in_use_and_kept_ones_stay(tmp_path):
    with own_folder(tmp_path) as used:
        with pytest.raises(ToolError), own_folder(tmp_path) as kept:
            raise ToolError("of which the folder tells more")
        with pytest.raises(ToolError), own_folder(tmp_path, keep=False) as removed:
            raise ToolError("of which enough is known")
        (tmp_path / "dse-tool-link").symlink_to(used)
        (tmp_path / "dse-tool-strange").mkdir()
        folders._sweep.cache_clear()
        with own_folder(tmp_path) as other:
            strange = {tmp_path / "dse-tool-link", tmp_path / "dse-tool-strange"}
            assert set(tmp_path.iterdir()) == {used, kept, other, *strange}
        assert not removed.exists()
    assert not used.exists()


def test_one_failure_ends_the_others(tmp_path):
    """The threads of those get an error, and nothing new is started in them."""
    word, errors, late = marked(), [], []

    def other():
        try:
            with own_folder(tmp_path) as folder:
                run(["/bin/sh", "-c", f"sleep 600; : {word}"], folder, Limits(600.0))
        except Stopped as error:
            errors.append(error)
        try:
            with own_folder(tmp_path):
                pass
        except Stopped as error:
            late.append(error)

    with pytest.raises(ValueError, match="the first failure"), ended_together() as scope:  # noqa: PT012
        threads = [threading.Thread(target=scope.within(other)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert there(word, 3)
        raise ValueError("the first failure")
    assert living(word) == []
    for thread in threads:
        thread.join(10)
    assert list(tmp_path.iterdir()) == []
    assert (len(errors), len(late)) == (3, 3)
    with own_folder(tmp_path) as folder:  # elsewhere all goes on
        assert shell("exit 0", folder).returncode == 0


def test_scopes_within_a_scope_end_with_it(tmp_path):
    word = marked()

    def work():
        with ended_together() as inner:
            thread = threading.Thread(target=inner.within(sleep))
            thread.start()
        thread.join()  # it goes on when the inner scope has been left

    def sleep():
        with pytest.raises(Stopped):
            run(["/bin/sh", "-c", f"sleep 600; : {word}"], tmp_path, Limits(600.0))

    with pytest.raises(KeyboardInterrupt), ended_together() as outer:  # noqa: PT012
        thread = threading.Thread(target=outer.within(work))
        thread.start()
        assert there(word)
        raise KeyboardInterrupt
    thread.join(10)
    assert not thread.is_alive()
    assert living(word) == []


def test_two_at_once_do_not_mix(tmp_path):
    outputs = {}

    def one(number):
        with own_folder(tmp_path) as folder:
            text = f"for i in $(seq 300); do echo {number}; done; echo {number} > file; cat file"
            outputs[number] = shell(text, folder).output

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: f"{number}\n" * 301 for number in range(8)}
    assert list(tmp_path.iterdir()) == []


def test_a_killed_launcher_is_replaced(tmp_path):
    from dse.process import running

    assert shell("echo 1", tmp_path).output == "1\n"
    first = running._launcher._process
    first.kill()
    first.wait()
    assert shell("echo 2", tmp_path).output == "2\n"
    assert running._launcher._process.pid != first.pid


def test_a_forked_process_has_programs_of_its_own(tmp_path):
    """It neither talks to our launcher, nor keeps our programs alive."""
    assert shell("echo 1", tmp_path).output == "1\n"
    child = os.fork()
    if child == 0:
        done = shell("echo 2", tmp_path)
        os._exit(0 if done.output == "2\n" else 1)
    assert shell("echo 3", tmp_path).output == "3\n"
    assert os.waitpid(child, 0)[1] == 0


def test_a_question_larger_than_a_pipe_comes_through(tmp_path):
    question = b"x" * 300_000 + b"\n"
    report, printed = communicate(
        ["/usr/bin/head", "-c", "300001"], Limits(20.0), None, os.environ, question
    )
    assert (report.status, printed) == (0, question.decode())


def test_results_are_read_within_bounds(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 1000)
    assert result_text(tmp_path / "large") == "x" * 1000
    with pytest.raises(ToolError, match="is larger than"):
        result_text(tmp_path / "large", 999)
    with pytest.raises(FileNotFoundError):
        result_text(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(ToolError, match="is not a regular file"):
            result_text(tmp_path / name)
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ToolError, match="is not text"):
        result_text(tmp_path / "bytes")


FULL = """
import sys
from pathlib import Path
from dse.errors import ToolError
from dse.process.folder import own_folder
from dse.process.limits import Limits
from dse.process.run import run
place = Path(sys.argv[1])
try:
    with own_folder(place, keep=False) as folder:
        fill = "head -c 9000000 /dev/zero > full; echo $?"
        done = run(["/bin/sh", "-c", fill], folder, Limits(20.0))
        raise done.failure("unlikely")
except ToolError as error:
    print(str(error).partition(chr(10))[0].replace(str(folder), "FOLDER"))
print(len(list(place.iterdir())))
with own_folder(place) as folder:
    print(run(["/bin/echo", "again"], folder, Limits(20.0)).output)
"""


def test_a_program_that_fills_the_disk_is_an_error_and_is_cleared_away(tmp_path):
    mount = f"mount -t tmpfs -o size=200k none {tmp_path}"
    words = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    words += [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == [
        "folder FOLDER: cannot be written (No space left on device); TMPDIR chooses another place",
        "0",
        "again",
    ]

"""The command line: sub-commands, and errors as one line with an exit code."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from dse import __version__
from dse.cli.signals import Terminated, raised
from dse.cli.streams import watched
from dse.errors import DseError, SpecError, unknown_name

#: Objects that a command makes while it starts, and some more.
_START_OBJECTS = 400_000

#: Sub-command -> the module whose ``main(argv) -> int`` runs it, and one line of help.
COMMANDS = {
    "run": ("dse.cli.run", "search hardware and mappings for a workload"),
    "map": ("dse.cli.map", "search the best mapping of a layer, or of Timeloop's files"),
    "model": ("dse.cli.model", "evaluate Timeloop input files, as timeloop-model does"),
    "validate": ("dse.cli.validate", "compare the native model with a real timeloop-model"),
    "certify": ("dse.cli.certify", "check the proof of a run with optimizer=optimal"),
    "explain": ("dse.cli.explain", "what limits each layer, and what more hardware would buy"),
    "report": ("dse.cli.report", "finished runs as one HTML file"),
    "compare": ("dse.cli.compare", "finished runs beside each other, over their seeds"),
    "export": ("dse.cli.export", "a run's designs as CSV, or for optuna-dashboard"),
    "train": ("dse.cli.train", "learn the cycles of real hardware from recorded rows"),
    "convert": ("dse.cli.convert", "rewrite Timeloop files in another of its formats"),
    "warm": ("dse.cli.warm", "compile ahead what commands would compile at first use"),
    "doctor": ("dse.cli.doctor", "say which external tools are found, and what each gives"),
    "components": ("dse.cli.components", "energy and area of an SRAM, a MAC, ... with a plot"),
    "import": ("dse.cli.import_model", "make a workload file from an ONNX model"),
    "docs": ("dse.cli.docs", "build the documentation from a checkout, and open it"),
    "list": ("dse.cli.listing", "list optimizers, archs, workloads, ..."),
    "show": ("dse.cli.show", "show one of them"),
    "completion": ("dse.cli.completion", "completion for bash, zsh or fish"),
}

_HELP = """\
dse: find the best DNN accelerator and the mapping of every layer on it

usage: python -m dse COMMAND [ARGUMENTS]

commands:
{commands}
examples:
  python -m dse run arch=gemmini workload=resnet50 samples=1000 seed=0
  python -m dse run workload=vgg16 variables.pe_dim=16 objective=energy
  python -m dse run -m optimizer=random,ga seed=0,1,2  a sweep: which is best
  python -m dse run resume=runs/20261120-155903_random_resnet50_s0
  python -m dse map arch=eyeriss layer=vgg16/conv1_1 mapper=gamma samples=9000
  python -m dse map arch.yaml problem.yaml constraints.yaml mapper.yaml -o out/
  python -m dse model arch.yaml problem.yaml mapping.yaml -o out/
  python -m dse report runs/20261120-155903_random_resnet50_s0
  python -m dse explain runs/20261120-155903_random_resnet50_s0 conv1
  python -m dse certify runs/20261120-155903_optimal_resnet50_s0
  python -m dse list workloads
  python -m dse show gemmini

'python -m dse COMMAND --help' tells more of a command; 'python -m dse run
--help' lists all settings with their defaults. Results go to stdout, progress
and messages to stderr.

exit codes: 0 good, 1 failed, 2 usage or input error, 3 nothing feasible (or
the mapping is rejected), 4 external tool missing or failed, 129 hung up, 130
interrupted, 143 terminated
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    _let_the_collector_wait()
    with watched() as streams:
        return streams.code(_run(list(sys.argv[1:] if argv is None else argv)))


def _let_the_collector_wait() -> None:
    """Keep Python's garbage collector from looking, again and again, at what start-up makes.

    That is code and classes, which stay. Once there are more objects than that it sets them apart,
    and goes on as usual.
    """
    usual = gc.get_threshold()
    if not usual[0] or usual[0] >= _START_OBJECTS or gc.get_freeze_count():
        return  # it is off, or waits, or has waited already

    def go_on(phase: str, info: dict[str, int]) -> None:  # noqa: ARG001 - what it is called with
        if phase == "start":
            gc.callbacks.remove(go_on)
            gc.set_threshold(*usual)
            gc.freeze()

    gc.callbacks.append(go_on)
    gc.set_threshold(_START_OBJECTS)


def _run(arguments: list[str]) -> int:
    try:
        with raised(), _silenced({"-q", "--quiet"} & set(arguments)):
            return _dispatch(arguments)
    except DseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Terminated as signal:
        sys.stderr.write(f"{signal.word}\n")
        return signal.exit_code
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        return 1
    except OSError as error:  # a full disk, or a folder that may not be written
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"error: {place}{error.strerror or error}\n")
        return 1


@contextmanager
def _silenced(flags: set[str]) -> Iterator[None]:
    """Where there are flags for no progress, do not say what is compiled meanwhile either."""
    notes = logging.getLogger("dse.compiling")
    before = notes.level
    notes.setLevel(logging.ERROR if flags else before)
    try:
        yield
    finally:
        notes.setLevel(before)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        width = max(len(name) for name in COMMANDS)  # `map` may be a module here
        lines = "".join(f"  {name:{width}}  {text}\n" for name, (_, text) in COMMANDS.items())
        sys.stdout.write(_HELP.format(commands=lines))
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        if len(arguments) > 1:
            raise SpecError(f"{arguments[0]} stands alone, but '{arguments[1]}' follows it")
        sys.stdout.write(f"dse {__version__}\n")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise SpecError(unknown_name("command", command, COMMANDS))
    run = import_module(COMMANDS[command][0]).main
    code: int = run(rest)
    return code

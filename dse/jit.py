"""The one way in which this package compiles: cached on disk, without the interpreter lock.

Compiled functions allocate nothing: all working memory comes in as arguments. So they are compiled
without numba's reference counting, whose atomic increments at every array view would otherwise
take more than half of the time.

Whatever is known here of numba's inner workings stands in this module, in `jit_units` and in
`jit_tiers`: the option that leaves the counting out, where a function's cache keeps the stamp of
its sources, how it is loaded, what becomes one piece of machine code, and where a call finds none.
All are checked where they are used, and a numba newer than those known to work caches nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event
from numba.core.caching import Cache
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import register_jitable

from dse import jit_tiers, jit_units
from dse.errors import ToolError
from dse.jit_locks import NOTES, file_beside, locked, name_of
from dse.jit_tiers import Callee, in_tiers
from dse.jit_units import EntryCompiler, PartCompiler

_LOG = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

#: Newest numba whose inner workings are known to be those used here; as in ``setup.cfg``.
NEWEST_NUMBA = (0, 68)

#: Folders of compiled code, and the others whose functions, constants or tuples theirs is compiled
#: with. A function's cache goes stale with any file of them; a test reads the imports.
ROOMS: dict[str, tuple[str, ...]] = {
    "model": (),
    "mapspace": ("model",),
    "evolution": ("mapspace", "model"),
    "relaxed": ("model",),
    "mappers/exact": ("model",),
    "cosearch": (),
    "cosearch/two_tier": ("model",),
    "certify": ("model",),
    "cycles": (),
    "learned": ("model",),
    "sparse": (),
    "sparse/batch": ("sparse", "model"),
}
#: Files besides, of all rooms.
GROUND = ("jit.py", "jit_units.py", "numeric.py", "domain/architecture.py", "domain/sparse.py")


def _knows_this_numba() -> bool:
    if numba.version_info.short <= NEWEST_NUMBA:
        return True
    _LOG.warning(
        "numba %s is newer than %d.%d, the newest known to work: compiled code is not kept on "
        "disk, so every start compiles anew, for a minute or more",
        *(numba.__version__, *NEWEST_NUMBA),
    )
    return False


_PLAIN: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
#: Whether compiled code is kept on disk.
KEEPS = _knows_this_numba()
#: What entry points are compiled with.
OPTIONS: dict[str, Any] = {
    "cache": KEEPS,
    "pipeline_class": EntryCompiler,
    **_PLAIN,
}
#: What the functions that they call are compiled with.
PART_OPTIONS: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": PartCompiler,
    **_PLAIN,
}


@cache
def _sources(room: str | None) -> tuple[tuple[str, int, int], ...]:
    """Return name, time and size of every file that a room's compiled code comes from.

    None: of all rooms, for code from elsewhere, which may call any.
    """
    package = Path(__file__).parent
    rooms = ROOMS if room is None else (room, *ROOMS[room])
    files = [
        *(package / name for name in GROUND),
        *(f for r in rooms for f in (package / r).glob("*.py")),
    ]
    stats = [(f.relative_to(package).as_posix(), f.stat()) for f in sorted(files)]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _stamp(module: str, own: object) -> tuple[object, ...]:
    """Return the stamp of all sources of a module's compiled code; ``own`` is that of its file."""
    package, *path = module.split(".")
    if package != "dse":
        return (own, *_sources(None))
    room = "/".join(path[:-1])
    if room not in ROOMS:
        raise KeyError(f"dse/{room} compiles code but is not among the rooms of dse.jit")
    return _sources(room)


def _cached(dispatcher: Any) -> Any:  # noqa: ANN401
    """Let the function's cache go stale with any of the sources of its code.

    Numba looks at the function's own file only, but its code holds that of the functions it
    calls, so an edit elsewhere would leave the old code running.

    Raises:
        ToolError: this numba is built otherwise.
    """
    options: Any = getattr(getattr(dispatcher, "targetdescr", None), "options", None)
    file: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    known = all(hasattr(file, name) for name in ("_source_stamp", "_version")) and all(
        hasattr(Cache, name) for name in ("_load_overload", "_guard_against_spurious_io_errors")
    )
    expected = jit_units.BUILT_AS_EXPECTED and jit_tiers.BUILT_AS_EXPECTED
    if not (expected and hasattr(options, "_nrt")) or (KEEPS and not known):
        raise ToolError(
            f"numba {numba.__version__} is not built as dse expects; "
            f"install 'numba<{NEWEST_NUMBA[0]}.{NEWEST_NUMBA[1] + 1}'"
        )
    if KEEPS:
        file._source_stamp = _stamp(dispatcher.py_func.__module__, file._source_stamp)
        # The version is looked at before anything else is read: what other sources left in the
        # cache may name classes that are no more.
        file._version = (file._version, file._source_stamp)
        _load_no_more_than_needed(dispatcher)
    return dispatcher


def _load_no_more_than_needed(dispatcher: Any) -> None:  # noqa: ANN401
    """Let a cache load machine code without numba's rules of how Python becomes such code.

    Numba reads all of them before it loads anything, SciPy's linear algebra with them. What the
    machine code of this package calls is there without; what has to be compiled reads them in any
    case, as code from elsewhere does.
    """
    kept = dispatcher._cache
    load_with_rules = kept.load_overload
    is_own = dispatcher.py_func.__module__.startswith("dse.")

    def load_own(signature: object, target_context: object) -> Any:  # noqa: ANN401
        found: list[Any] = [None]  # stays so where the guard passes over an unreadable file
        with kept._guard_against_spurious_io_errors():
            found = [kept._load_overload(signature, target_context)]
        return found[0]

    def load_overload(signature: object, target_context: object) -> object:
        found = (load_own if is_own else load_with_rules)(signature, target_context)
        if found is not None:
            jit_units.forget_names(found.library)
        return found

    kept.load_overload = load_overload


def _compile_in_one_process(dispatcher: Any) -> None:  # noqa: ANN401
    """Let one process compile a function, and others wait for it and take it from the cache."""
    compile_one = dispatcher.compile

    def compile_alone(signature: object) -> object:
        # numba's own lock first, as this thread would take it later, too: no two threads each
        # hold one of both
        with global_compiler_lock, locked(dispatcher, _COMPILING.stopped):
            return compile_one(signature)

    dispatcher.compile = compile_alone


def compiled(function: F) -> F:
    """Compile an entry point: callable from Python, cached on disk, GIL released."""
    result: F = _cached(numba.njit(**OPTIONS)(function))
    if KEEPS:
        _compile_in_one_process(result)
    return result


def tiered(function: F) -> F:
    """Compile an entry point beside this process where it is told to interpret it meanwhile.

    It has to give the same bits either way. It may be left wherever it calls an `inner` one, which
    is to be often, and begun again: what it writes does not depend on what it wrote before.
    """
    result = compiled(function)
    if KEEPS:
        in_tiers(result, _COMPILING.stopped)
    return result


def inner(function: F) -> F:
    """Compile a function that only compiled code calls, as a part of the entry points that do."""
    result: Any = numba.njit(**PART_OPTIONS)(function)
    result.__class__ = Callee
    made: F = result
    return made


def inlined(function: F) -> F:
    """Let compiled code inline a small function, which for Python stays what it is.

    Dividing by 0 raises in Python; compiled, it is infinite.
    """
    result: F = register_jitable(**PART_OPTIONS, forceinline=True)(function)
    return result


class _CompilingTime:
    """The time in which code is missing: compiled, waited for, or interpreted meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._began = 0.0
        self._before = 0.0

    def begin(self) -> None:
        """Begin, or go one deeper, in any thread."""
        with self._lock:
            if not self._depth:
                self._began = time.monotonic()
            self._depth += 1

    def end(self) -> None:
        """Come back."""
        with self._lock:
            self._depth -= 1
            if not self._depth:
                self._before += time.monotonic() - self._began

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the time within count, in any thread."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @property
    def seconds(self) -> float:
        """Time so far."""
        with self._lock:
            return self._before + (time.monotonic() - self._began if self._depth else 0.0)


class _Compiling(event.Listener):
    """Says what is being compiled, since nothing else explains a silent half minute; times it.

    Numba compiles in one thread at a time; what a function calls is compiled within it.
    """

    def __init__(self) -> None:
        self._began: list[float] = []

    def on_start(self, event: event.Event) -> None:
        """Say what is compiled, and how long that took the last time, if it did."""
        _COMPILING.begin()
        self._began.append(time.monotonic())
        if len(self._began) > 1 or not (dispatcher := _ours(event)):
            return
        before = ""
        with suppress(OSError, ValueError, TypeError):  # there is no folder where nothing is kept
            seconds = float(file_beside(dispatcher, "seconds").read_text(encoding="utf-8"))
            before = f"; it took {seconds:.0f} s last time"
        NOTES.warning("compiling %s for this machine, only once%s", name_of(dispatcher), before)

    def on_end(self, event: event.Event) -> None:
        """Keep how long the outermost function took."""
        _COMPILING.end()
        seconds = time.monotonic() - self._began.pop()
        if not self._began and (dispatcher := _ours(event)):
            with suppress(OSError, TypeError):  # numba itself says where it cannot write
                file_beside(dispatcher, "seconds").write_text(f"{seconds:.1f}\n", encoding="utf-8")


def _ours(event: event.Event) -> Any:  # noqa: ANN401
    """Return the function that is compiled if it is of this package, else None."""
    dispatcher = event.data["dispatcher"]
    return dispatcher if (dispatcher.py_func.__module__ or "").startswith("dse.") else None


_COMPILING = _CompilingTime()
event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]


def working_time() -> float:
    """Return a clock in seconds that stands still while code is compiled, for limits and rates."""
    return time.monotonic() - _COMPILING.seconds

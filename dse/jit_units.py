"""What becomes one piece of machine code: an entry point with all that it calls.

Left alone, numba optimises every function and makes machine code of it, then does both again
within each function that calls it, level by level. Here a function that only compiled code calls
stays in LLVM's intermediate form until an entry point links it, and the whole is optimised once:
half the time, and the code is no slower. Numba's cheap first round of optimisation is left out as
well: it serves reference counts only, and this package's code has none.

The classes stand in for those of :mod:`numba.core.codegen`; `BUILT_AS_EXPECTED` says whether what
they change is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary, JitEngine
from numba.core.compiler import Compiler
from numba.core.environment import lookup_environment

BUILT_AS_EXPECTED = all(
    hasattr(JITCodeLibrary, name)
    for name in (
        *("_optimize_final_module", "_finalize_final_module", "_finalize_specific"),
        *("_finalize_dynamic_globals", "get_pointer_to_function", "codegen"),
        *("_get_module_for_linking", "_get_compiled_object", "serialize_using_object_code"),
    )
) and hasattr(JitEngine, "_load_defined_symbols")


class _NoMachineCode:
    """Numba's code generator for a function of which there is no machine code yet."""

    def __init__(self, codegen: Any) -> None:  # noqa: ANN401 - numba has no types
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._codegen, name)

    def set_env(self, name: str, env: object) -> None:
        """Leave it to the entry points, whose code has the place for it."""


class PartLibrary(JITCodeLibrary):
    """A function in LLVM's intermediate form, and all that it calls."""

    @property
    def codegen(self) -> _NoMachineCode:
        """The code generator."""
        return _NoMachineCode(self._codegen)

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002
        """Return 0: Python cannot call it."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        """Leave it to the entry points."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class EntryLibrary(JITCodeLibrary):
    """An entry point's machine code, with that of all that it calls."""

    _codegen: Any

    def _optimize_final_module(self) -> None:
        made = self._codegen._module_pass_manager()
        manager, *builder = made if isinstance(made, tuple) else (made,)
        manager.run(self._final_module, *builder)

    def _finalize_specific(self) -> None:
        super()._finalize_specific()
        for variable in self._final_module.global_variables:
            env = lookup_environment(variable.name)
            if env is not None:
                self._codegen.set_env(variable.name, env)

    def serialize_using_object_code(self) -> tuple[str, str, tuple[bytes, bytes]]:
        """Return the machine code, with the names that it defines as a module of nothing else."""
        self._ensure_finalized()
        names = llvm.parse_assembly("\n".join(_nothing_but_names(self._final_module)))
        return self.name, "object", (self._get_compiled_object(), names.as_bitcode())

    def _get_module_for_linking(self) -> object:
        raise RuntimeError(f"{self.name} is an entry point, which compiled code cannot call")


def _nothing_but_names(module: Any) -> Iterator[str]:  # noqa: ANN401 - llvmlite has no types
    """Yield definitions of what a module defines, as small as can be."""
    for function in module.functions:
        if not function.is_declaration:
            yield f'define void @"{function.name}"() {{ unreachable }}'
    for variable in module.global_variables:
        if not variable.is_declaration:
            yield f'@"{variable.name}" = global i8 0'


def forget_names(library: Any) -> None:  # noqa: ANN401
    """Let a library that was loaded be none that other code can link: numba says so then."""
    library._shared_module = None


class _UnitCompiler(Compiler):
    """Numba's compiler, into a library of our own."""

    library: type[JITCodeLibrary]

    def compile_extra(self, func: Any) -> Any:  # noqa: ANN401
        """Compile a function."""
        self.state.library = self.library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)


class PartCompiler(_UnitCompiler):
    """Compiles what only compiled code calls."""

    library = PartLibrary


class EntryCompiler(_UnitCompiler):
    """Compiles entry points."""

    library = EntryLibrary

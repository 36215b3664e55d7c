"""What a program may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one program may use, together with all that it starts.

    Sizes of files and of the address space are limits of the system's, in force before the program
    begins and for each process that it starts. Totals are looked at while it runs, so what is used
    between two looks comes on top. Totals of memory and processes are known on Linux only.

    Attributes:
        timeout_s: seconds until it is ended; of a worker, for each answer.
        memory_bytes: address space of each process, and memory of all together; None = unlimited.
        cpu_s: seconds of processor time of each process; None = unlimited.
        file_bytes: size of any one file.
        folder_bytes: disk space of its own folder.
        output_bytes: what is kept of its output, one half the beginning and one half the end.
        processes: how many it may have at a time beside itself.
    """

    timeout_s: float
    memory_bytes: int | None = None
    cpu_s: int | None = None
    file_bytes: int = 2**26
    folder_bytes: int = 2**28
    output_bytes: int = 2**24
    processes: int = 500

    def of_the_system(self) -> dict[str, int]:
        """Return the limits that the system keeps, by their names in ``resource``."""
        limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": self.file_bytes}
        if self.memory_bytes is not None:
            limits["RLIMIT_AS"] = self.memory_bytes
        if self.cpu_s is not None:
            limits["RLIMIT_CPU"] = self.cpu_s
        if self.processes == 0:
            # no other number is of use: the system counts all processes of the user
            limits["RLIMIT_NPROC"] = 0
        return limits

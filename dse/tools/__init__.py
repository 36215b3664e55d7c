"""Whatever speaks to Timeloop's programs: its binaries, its bindings, the files that they write.

Evaluators, mappers and validation import it. How programs are run and ended is in `dse.process`.
"""

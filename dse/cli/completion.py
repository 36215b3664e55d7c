"""``python -m dse completion SHELL``: completion of commands, settings and names in a shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from dse.cli import COMMANDS
from dse.cli.listing import KINDS, SHOWN
from dse.errors import SpecError, unknown_name
from dse.plugins import GROUPS, plugins
from dse.runner.config import known_keys

_USAGE = """\
usage: dse completion bash|zsh|fish

Prints what makes a shell complete the words of 'dse': commands, settings, and
the names of optimizers, mappers, evaluators, architectures, workloads and
objectives.

  bash  eval "$(dse completion bash)"           in ~/.bashrc
  zsh   eval "$(dse completion zsh)"            in ~/.zshrc, after compinit
  fish  dse completion fish | source            in ~/.config/fish/config.fish
"""

#: Commands whose words are settings.
_SETTINGS_OF = ("run", "map", "validate")

_BASH = """\
_dse() {
    local line word words
    line=${COMP_LINE:0:$COMP_POINT}
    word=${line##* }
    if [[ $COMP_CWORD -le 1 ]]; then
        words="@COMMANDS@"
    else
        case ${COMP_WORDS[1]} in
        @WITH_SETTINGS@) words="@SETTINGS@" ;;
        show) words="@NAMES@" ;;
        list) words="@KINDS@" ;;
        *) COMPREPLY=($(compgen -f -- "$word")); return ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    # the shell takes '=' for the end of a word
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}")
    elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace
    fi
}
complete -F _dse dse
"""
_ZSH = """\
_dse() {
    local -a choices
    if (( CURRENT == 2 )); then
        choices=(@COMMANDS@)
    else
        case ${words[2]} in
        @WITH_SETTINGS@) choices=(@SETTINGS@) ;;
        show) choices=(@NAMES@) ;;
        list) choices=(@KINDS@) ;;
        *) _files; return ;;
        esac
    fi
    compadd -S '' -- ${(M)choices:#*=}
    compadd -- ${choices:#*=}
}
compdef _dse dse
"""
_FISH = """\
complete -c dse -f
complete -c dse -n __fish_use_subcommand -a "@COMMANDS@"
complete -c dse -n "__fish_seen_subcommand_from @WITH_SETTINGS_WORDS@" -a "@SETTINGS@"
complete -c dse -n "__fish_seen_subcommand_from show" -a "@NAMES@"
complete -c dse -n "__fish_seen_subcommand_from list" -a "@KINDS@"
complete -c dse -n "not __fish_use_subcommand; and not __fish_seen_subcommand_from \
@WITH_SETTINGS_WORDS@ show list" -F
"""
_SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(argv: Sequence[str]) -> int:
    """Print a shell's completion; return the exit code.

    Raises:
        SpecError: it is none of the shells.
    """
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(_USAGE)
        return 0
    if len(argv) != 1:
        raise SpecError(f"completion takes one shell: {', '.join(_SHELLS)}")
    if argv[0] not in _SHELLS:
        raise SpecError(unknown_name("shell", argv[0], _SHELLS))
    text = _SHELLS[argv[0]]
    for key, words in _words().items():
        text = text.replace(f"@{key}@", words)
    sys.stdout.write(text)
    return 0


def _words() -> dict[str, str]:
    names = {kind: [name for name, _ in KINDS[kind]()] for kind in SHOWN}
    return {
        "COMMANDS": " ".join(COMMANDS),
        "WITH_SETTINGS": "|".join(_SETTINGS_OF),
        "WITH_SETTINGS_WORDS": " ".join(_SETTINGS_OF),
        "SETTINGS": " ".join(_settings(names)),
        "NAMES": " ".join(dict.fromkeys(name for found in names.values() for name in found)),
        "KINDS": " ".join(KINDS),
    }


def _settings(names: dict[str, list[str]]) -> Iterator[str]:
    """Yield all settings up to their ``=``, and those that choose by name with every name."""
    choices = {
        "arch": names["archs"],
        "workload": names["workloads"],
        "objective": names["objectives"],
        "energy": names["energy"],
        **{kind: list(plugins(kind)) for kind in GROUPS},
    }
    keys = {key for kind in GROUPS for name in plugins(kind) for key in known_keys({kind: name})}
    for key in sorted(keys):
        if key in choices:
            yield from (f"{key}={name}" for name in choices[key])
        else:
            yield f"{key}="
    yield "resume="

"""timeloopfe's jinja2 templates: what they may read, and how much they may take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from timeloop_texts import MAPPING, PROBLEM, tree

import dse
from dse.cli import main
from dse.errors import SpecError
from dse.timeloop.read.inputs import read_files
from dse.timeloop.yaml import render
from dse.timeloop.yaml.io import load_files, project_of

SHARED = Path(__file__).parents[3] / "shared" / "cases" / "jinja"
INCLUDES = "{{include_text('arch.yaml')}}\n{{include_text('problem.yaml')}}\n"


@pytest.fixture
def project(tmp_path):
    """A project's folder, with one of another project beside it."""
    for name in ("project/parts", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project" / "arch.yaml").write_text(tree())
    (tmp_path / "project" / "problem.yaml").write_text(PROBLEM)
    (tmp_path / "outside" / "mapping.yaml").write_text(MAPPING)
    return tmp_path / "project"


def template(folder, text):
    path = folder / "in.yaml.jinja2"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ nothing }}", "in.yaml.jinja2:1: UndefinedError"),
        ("\n\n{{ include('none.yaml') }}", "in.yaml.jinja2:3: no file 'none.yaml'"),
        ("{{ include('in.yaml.jinja2') }}", "includes itself"),
        ("\n{% for %}", "in.yaml.jinja2:2: TemplateSyntaxError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ cwd.__globals__ }}", "SecurityError"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "end"),
        ("{% for a in range(99999) %}{{ range(99999)|sum }}{% endfor %}", "end"),
        ("{{ range(10**9) | list }}", "OverflowError"),
        ("{{ 'a' * 10**9 }}", "needs too much memory"),
        ("{{ '%99999999999d' | format(1) }}", "memory|OverflowError"),
        ("{{ 'a'.ljust(9999999999) }}", "needs too much memory"),
        ("{{ 'a'|center(9999999999) }}", "needs too much memory"),
        ("{{ [1]|batch(1000000000, 'x')|list }}", "needs too much memory"),
        (
            "{% set n = namespace(x='aa') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}"
            "{% endfor %}",
            "needs too much memory|does not come to an end in time",
        ),
        (
            "{% set n = namespace(x=2) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}"
            "{% endfor %}",
            "processor time|does not come to an end|too much memory",
        ),
        ("{{ 10 ** (10 ** 10) }}", "processor time"),
        (
            "{% set n = namespace(d=[1], e=[1]) %}{% for i in range(60) %}"
            "{% set n.d = [n.d, n.d] %}{% set n.e = [n.e, n.e] %}{% endfor %}{{ n.d == n.e }}",
            "processor time|end",
        ),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 'aaaaaaaa'|truncate(-1) }}", "in.yaml.jinja2:1: AssertionError"),
        ("{{ 'x'|round }}", "in.yaml.jinja2:1: TypeError"),
        ("{{ '\\ud800' }}", "in.yaml.jinja2: UnicodeEncodeError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "does not come to an end"),
        ("{{ 'x' * 20000000 }}", "more than 16 MB"),
        ("{{ include_all('/etc/*') }}", "/etc lies outside of the project"),
        ("{{ include_all('**x') }}", "in.yaml.jinja2:1: ValueError"),
        ("{{ include_all('*/../../outside/*') }}", "'..' after a wildcard"),
        ("{{ include('parts') }}", "parts is a directory"),
        ("a: \udcff", "UTF-8|utf-8"),
    ],
)
def test_errors_and_bombs_are_one_line(project, text, said, monkeypatch):
    monkeypatch.setattr(render, "_CPU_S", 1)
    monkeypatch.setattr(render, "_LIMITS", replace(render._LIMITS, cpu_s=2))
    path = project / "in.yaml.jinja2"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SpecError, match=said) as error:
        read_files([path])
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared cases are not beside the repository")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.j2")), ids=lambda path: path.name)
def test_shared_cases_are_refused_by_the_command(path, capsys):
    assert main(["model", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path}")
    assert captured.err.count("\n") == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much")
def test_the_memory_of_the_caller_stays_small(project):
    path = template(
        project,
        "{% set n = namespace(x='a') %}{% for i in range(40) %}"
        "{% set n.x = n.x ~ n.x %}{% endfor %}",
    )
    code = (
        "import sys; from dse.timeloop.yaml.io import load_files\n"
        "try: load_files([sys.argv[1]])\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    name, kilobytes = done.stdout.split()
    assert name == "SpecError"
    assert int(kilobytes) < 200_000


def test_files_outside_need_an_include_path(project, capsys):
    outside = project.parent / "outside"
    for call in (
        "{{include_text('../outside/mapping.yaml')}}",
        f"mapping: {{{{include('{outside}/mapping.yaml', 'mapping')}}}}",
        "mapping: {{include_all('../outside/*.yaml', 'mapping')}}",
        "{{add_to_path('../outside')}}\n{{include_text('mapping.yaml')}}",
        "{% if path_exists('../outside/mapping.yaml') %}mapping: []{% endif %}",
        "globals: {{find_path('../outside/mapping.yaml')}}",
    ):
        path = template(project, f"{INCLUDES}{call}\n")
        with pytest.raises(SpecError, match="lies outside of the project") as error:
            read_files([path])
        assert "--include-path" in str(error.value)
        assert "outside" in str(error.value)
        assert read_files([path], include_path=[outside]).problem.macs
    assert (
        main(
            [
                "model",
                str(template(project, f"{INCLUDES}{{{{include_text('mapping.yaml')}}}}")),
                "--include-path",
                str(outside),
                "--json",
            ]
        )
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    stats = dse.model_files(project / "in.yaml.jinja2", include_path=[outside])
    assert said["cycles"] == stats.cycles
    with pytest.raises(SpecError, match="none: is no folder"):
        read_files([project / "in.yaml.jinja2"], include_path=[project / "none"])


def test_links_that_leave_the_project_are_outside(project):
    (project / "parts" / "link.yaml").symlink_to(project.parent / "outside" / "mapping.yaml")
    (project / "folder").symlink_to(project.parent / "outside")
    for call in (
        "{{include_text('parts/link.yaml')}}",
        "{{include_text('folder/mapping.yaml')}}",
        "mapping: {{include_all('parts/*.yaml', 'mapping')}}",
        "mapping: {{include_all('folder/*.yaml', 'mapping')}}",
        "mapping: {{include_all('*/*.yaml', 'mapping')}}",
    ):
        with pytest.raises(SpecError, match="lies outside of the project"):
            read_files([template(project, INCLUDES + call)])
    (project / "parts" / "link.yaml").unlink()
    (project / "parts" / "link.yaml").symlink_to(project / "problem.yaml")
    text = "{{include_text('arch.yaml')}}\n{{include_text('parts/link.yaml')}}"
    assert read_files([template(project, text)]).problem.macs


def test_a_project_is_the_folder_of_all_files(project):
    (project / "parts" / "problem.yaml").write_text("{{include_text('../problem.yaml')}}")
    with pytest.raises(SpecError, match="lies outside of the project"):
        load_files([project / "parts" / "problem.yaml"])
    assert read_files([project / "arch.yaml", project / "parts" / "problem.yaml"]).problem.macs


def test_no_project_is_as_wide_as_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    ours, theirs = tmp_path / "home" / "ours" / "a.yaml", tmp_path / "home" / "theirs" / "b.yaml"
    assert project_of([ours, theirs]) == [ours.parent, theirs.parent]
    assert project_of([ours, tmp_path / "c.yaml"]) == [tmp_path, ours.parent]
    assert project_of([ours, ours.parent / "sub" / "b.yaml"]) == [ours.parent]
    assert project_of([tmp_path / "home" / "a.yaml"]) == [tmp_path / "home"]


def test_walks_are_bounded(project):
    for number in range(1100):
        (project / "parts" / f"{number}.yaml").write_text("a: 1")
    with pytest.raises(SpecError, match="more than 1000 files"):
        read_files([template(project, "{{include_all('**/*.yaml')}}")])
    with pytest.raises(SpecError, match="too many includes"):
        read_files(
            [template(project, "{% for i in range(1001) %}{{include('arch.yaml')}}{% endfor %}")]
        )


def test_what_is_included_many_times_is_counted_each_time(project):
    """Each file includes the next one ten times: small texts, and a tree without end."""
    for number in range(9):
        call = f"{{{{include('{number + 1}.yaml')}}}}"
        text = "{% set x = " + call[2:-2] + " %}[" + ", ".join(["{{x}}"] * 10) + "]"
        (project / f"{number}.yaml").write_text(text)
    (project / "9.yaml").write_text("[1]")
    with pytest.raises(SpecError, match="more than 300000 YAML nodes"):
        read_files([template(project, "architecture: {{include('0.yaml')}}")])


def test_deep_trees_are_refused(project):
    deep = "[" * 60 + "{{x}}" + "]" * 60
    (project / "0.yaml").write_text("[1]")
    for number in range(1, 5):
        text = f"{{% set x = include('{number - 1}.yaml') %}}{deep}"
        (project / f"{number}.yaml").write_text(text)
    with pytest.raises(SpecError, match="deeper than 100 levels"):
        read_files([template(project, "architecture: {{include('4.yaml')}}")])


def test_a_text_that_looks_like_a_mark_stays_a_text(project):
    path = template(project, "globals: [__dse_include_0__, __dse_include_99999999999__]")
    node = load_files([path]).need("globals", "").node
    assert [item.value for item in node.value] == [
        "__dse_include_0__",
        "__dse_include_99999999999__",
    ]


def test_values_are_plain_data(project):
    path = template(project, "globals: [{{a.b[0] + 1}}, {{c}}]")
    node = load_files([path], {"a": {"b": (1, 2)}, "c": 2.5}).need("globals", "").node
    assert [item.value for item in node.value] == ["2", "2.5"]
    with pytest.raises(SpecError, match=r"template variables.a.b\[1\]: is a Path|PosixPath"):
        load_files([path], {"a": {"b": [1, Path()]}, "c": 0})


def test_the_sandbox_needs_nothing_of_dse():
    """It starts quickly, and runs without the site's packages."""
    text = Path(render.sandbox.__file__).read_text()
    assert "import dse" not in text
    assert "from dse" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="the system does not limit root's processes")
def test_the_sandbox_cannot_start_processes():
    assert render._LIMITS.of_the_system()["RLIMIT_NPROC"] == 0


def nodes_of(folder, text, **files):
    """Return a template's content as plain data, with other files beside it."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (folder / "top.yaml").write_text(text)
    return _plain(load_files([folder / "top.yaml"]).node)


def _plain(node):
    if isinstance(node.value, dict):
        return {key: _plain(item) for key, item in node.value.items()}
    return [_plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def test_files_are_included_by_tag(tmp_path):
    found = nodes_of(
        tmp_path,
        "architecture: !include part.yaml # a comment\n"
        "mapping: [!include part.yaml, !include 'part.yaml']\n"
        "problem:\n- !include part.yaml\n- {a: !include part.yaml}\n"
        "components: !includedir classes\n"
        "# !include none.yaml\n"
        "globals: 'no !include here'\n",
        part="version: 0.4 # !include none.yaml\n",
        classes__b="{name: b}",
        classes__a="{name: a}",
    )
    part = {"version": "0.4"}
    assert found["architecture"] == part
    assert found["mapping"] == [part, part]
    assert found["problem"] == [part, {"a": part}]
    assert found["components"] == [{"name": "a"}, {"name": "b"}]
    assert found["globals"] == "no !include here"


def test_a_line_that_includes_is_the_files_text(tmp_path):
    found = nodes_of(
        tmp_path,
        "!include ./macros.yaml\narchitecture:\n  !include inner.yaml\nmapping: *x\n",
        macros="variables: {A: &x 4}\n",
        inner="a: 1\nb: *x\n",
    )
    assert found["variables"] == {"A": "4"}
    assert found["architecture"] == {"a": "1", "b": "4"}
    assert found["mapping"] == "4"


def test_folders_and_lists_of_patterns_are_included(tmp_path):
    found = nodes_of(
        tmp_path,
        "components: {{include_all('classes')}}\n"
        "mapping: {{include_all(['classes/b.yaml', 'classes/a.yaml'])}}\n"
        "problem: {{find_path('classes')}}\n"
        "globals: {{find_paths('classes/*.yaml')}}\n"
        "{{include_text('texts')}}\n",
        classes__a="[{name: a}]",
        classes__b="[{name: b}]",
        texts__one="variables: 1",
        texts__two="ERT: 2",
    )
    assert found["components"] == [{"name": "a"}, {"name": "b"}]
    assert found["mapping"] == [{"name": "b"}, {"name": "a"}]
    assert found["problem"] == str(tmp_path / "classes")
    assert [Path(name).name for name in found["globals"]] == ["a.yaml", "b.yaml"]
    assert (found["variables"], found["ERT"]) == ("1", "2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !include none.yaml", "no file 'none.yaml'"),
        ("a: !includedir top.yaml", "!includedir top.yaml: is no folder"),
        ("!include top.yaml", "includes itself"),
        ("a: !include ../outside/mapping.yaml", "lies outside of the project"),
        ("!include ../outside/mapping.yaml", "lies outside of the project"),
        ("a: !includedir ../outside", "lies outside of the project"),
        ("a: {{include_all('../outside')}}", "lies outside of the project"),
        ("a: {{include_all('none/*.yaml')}}", "no file 'none/"),
        ("a: {{setenv('PATH', 'x')}}", "a template may not change the environment"),
    ],
)
def test_what_may_not_be_included_is_refused(project, text, said):
    with pytest.raises(SpecError, match=said):
        nodes_of(project, text + "\n")


def test_a_folder_that_leads_outside_is_not_included(project):
    (project / "parts" / "link.yaml").symlink_to(project.parent / "outside" / "mapping.yaml")
    for text in ("a: !includedir parts", "a: {{include_all('parts')}}"):
        with pytest.raises(SpecError, match="lies outside of the project"):
            nodes_of(project, text)

"""Lines of the source that stand beside the numbers they compute."""

import inspect
from pathlib import Path

import pytest

from seqcore.models import LSTM
from seqcore.source import excerpt


def measured(x):
    """x = 3 would be found here, if a line began so."""
    a = x + 1
    if a > 2:
        b = 2 * a

        a = b
    return a


def test_the_lines_are_those_of_the_file_without_their_common_indentation():
    assert excerpt(measured, "a = x", "return") == "a = x + 1\nif a > 2:\n    b = 2 * a\n\n    a = b\nreturn a"
    shown = excerpt(LSTM.trace, "i = ", "h = ").splitlines()
    file = Path(inspect.getsourcefile(LSTM)).read_text(encoding="utf-8").splitlines()
    start = [line.strip() for line in file].index(shown[0])
    assert [line.strip() for line in file[start : start + len(shown)]] == shown


def test_one_line_alone_needs_no_last_one():
    assert excerpt(measured, "b = ") == "b = 2 * a"


def test_the_last_line_is_looked_for_from_the_first_one_on():
    assert excerpt(measured, "b = ", "a = ") == "b = 2 * a\n\na = b"
    assert excerpt(measured, "a = ", "a = ") == "a = x + 1"


@pytest.mark.parametrize(
    ("first", "last", "complaint"),
    [
        ("x = 3", None, "measured has no line that begins with 'x = 3'"),
        ("a = ", "c = ", "measured has no line that begins with 'c = ' after 'a = x \\+ 1'"),
        ("return", "b = ", "measured has no line that begins with 'b = ' after 'return a'"),
    ],
)
def test_a_beginning_that_is_not_there_is_named_with_the_function(first, last, complaint):
    with pytest.raises(ValueError, match=complaint):
        excerpt(measured, first, last)


def test_a_method_is_named_with_its_class():
    with pytest.raises(ValueError, match=r"LSTM\.trace has no line"):
        excerpt(LSTM.trace, "r = ")

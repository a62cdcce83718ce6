"""Python source without comments and docstrings, with each statement on the line where it was.

A third of this program's text is for people who read it in its repository. In a ConfigMap it would only take room; line
numbers stay, so that a traceback from a pod fits the repository.
"""

import io
import tokenize

_BETWEEN = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.COMMENT)


def stripped(source: bytes) -> bytes:
    """The source; a string that is a statement of its own becomes an empty one. Comments go with the blanks before."""
    lines = source.decode("utf-8").splitlines(keepends=True)
    found = list(tokenize.tokenize(io.BytesIO(source).readline))
    for at in range(len(found) - 1, -1, -1):
        token = found[at]
        (row, start), (last, end) = token.start, token.end
        if token.type == tokenize.COMMENT:
            lines[row - 1] = f"{lines[row - 1][:start].rstrip()}\n"
        elif token.type == tokenize.STRING and _is_statement(found, at):
            rest = lines[last - 1][end:]
            lines[row - 1] = f'{lines[row - 1][:start]}""' + (rest if row == last else "\n")
            for number in range(row, last):
                lines[number] = "\n"
            if row != last and rest.strip():
                raise ValueError(f"line {last}: something follows a docstring")
    return "".join(lines).encode("utf-8")


def _is_statement(tokens: list[tokenize.TokenInfo], at: int) -> bool:
    before = tokens[at - 1].type if at else tokenize.ENCODING
    after = tokens[at + 1].type
    alone = before in _BETWEEN and after in (tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER)
    return alone and not _in_brackets(tokens[:at])


def _in_brackets(tokens: list[tokenize.TokenInfo]) -> bool:
    """Whether a bracket is open: a string in a list over several lines is on a line of its own, too."""
    texts = [token.string for token in tokens if token.type == tokenize.OP]
    return sum(text in "([{" for text in texts) > sum(text in ")]}" for text in texts)

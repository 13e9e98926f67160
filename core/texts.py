"""Find the texts of errors in the source: what a catalogue has to translate."""

import ast
from collections.abc import Iterator
from pathlib import Path

# A raised or returned call of one of these, with a literal text, is an error's.
CLASSES = frozenset(
    {
        *("ApiError", "BadRequest", "Unauthorized", "Forbidden", "NotFound", "MethodNotAllowed"),
        *("Conflict", "Gone", "TooLarge", "UnsupportedMediaType", "TooManyRequests"),
        *("BadGateway", "Unavailable", "EngineError", "NotAuthorized", "PasswordNeeded"),
        *("FloodWait", "TooManyCalls", "ValidationFailed", "ValidationError", "fail"),
        *("timed_out", "Refused"),
    }
)
TABLES = frozenset({"DETAILS", "default_error_messages", "default_detail", "SERVER_ERROR"})


def error_texts(*folders: Path) -> Iterator[tuple[str, str]]:
    """Yield (text, where) for each error text below `folders`; values stand as `{name}`."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if {"tests", "migrations", "management"} & set(path.parts):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                for text in _texts(node):
                    yield text, f"{path.parent.name}/{path.name}:{getattr(node, 'lineno', 0)}"


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and _name(node.func) in CLASSES:
        for value in [*node.args, *(word.value for word in node.keywords if word.arg == "detail")]:
            for text in map(_literal, _literals(value)):
                if text is not None and _is_sentence(text):
                    yield text
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_name(target) in TABLES for target in targets):
            values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
            yield from (
                text for text in map(_literal, values) if text is not None and _is_sentence(text)
            )


def _literals(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the strings below `node`; one with values in it is one string."""
    if isinstance(node, ast.JoinedStr | ast.Constant):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _literals(child)


def _literal(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{" + _label(part) + "}"
            for part in node.values
        )
    return None


def _label(part: ast.AST) -> str:
    """Return a name for a value: the last word of its expression."""
    words = [_name(each) for each in ast.walk(part) if isinstance(each, ast.Name | ast.Attribute)]
    return words[0].lower() if words else "value"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_sentence(text: str) -> bool:
    """Tell a text for people from a code: it has blanks."""
    return " " in text.strip() and any(letter.isalpha() for letter in text)

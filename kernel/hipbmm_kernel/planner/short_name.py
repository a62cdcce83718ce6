"""The name that people see of a module of a model."""


def short_name(path: str) -> str:
    """The last component of a module's path, with `shared_expert(s).` before it where both exist."""
    *parents, last = path.split(".")
    return f"{parents[-1]}.{last}" if parents and parents[-1].startswith("shared_expert") else last

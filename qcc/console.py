"""What people see on a terminal: tables on standard output, progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from qcc.ir import printable

ProgressFunction = Callable[[str, int, int | None], None]


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", right: Sequence[str] = ()
) -> None:
    """Print a table; columns named in `right` are aligned right."""
    console = Console(highlight=False, width=None if Console().is_terminal else 160)
    console.print(make_table(columns, rows, title, right))


def make_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", right: Sequence[str] = ()
) -> Table:
    """Return a table; columns named in `right` are aligned right."""
    table = Table(title=printable(title) or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(printable(text).replace("[", r"\[") for text in row))
    return table


@contextmanager
def progress_bars() -> Iterator[ProgressFunction]:
    """Yield a function (what, done, total) that shows bars on a terminal and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield show


def human_bytes(count: int | None) -> str:
    """Return a size as people read it: 1,234 B, 12.3 KiB, 4.5 MiB; None is one that could not be measured."""
    if count is None:
        return "not measured: there is no C compiler"
    if count < 10_000:
        return f"{count:,} B"
    return f"{count / 1024:,.1f} KiB" if count < 10 * 1024**2 else f"{count / 1024**2:,.1f} MiB"


def human_seconds(seconds: float) -> str:
    """Return a duration as people read it: 12.3 µs, 4.56 ms, 7.8 s."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"

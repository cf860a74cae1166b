"""What target texts mean."""

import dataclasses
from collections.abc import Callable

import pytest

from qcc.ir import TargetError
from qcc.targets import Target, TargetFamily, families, register_family, registry
from qcc.targets import target as target_module


@pytest.mark.parametrize(
    "text",
    [
        "c",
        "x86_64-linux-gnu+avx2",
        "x86_64-linux-gnu+avx-vnni",
        "x86_64-linux-gnu+avx512-vnni",
        "x86_64-linux-gnu+avx2+avx512-vnni@znver4",
    ],
)
def test_text_of_a_target_parses_back(text: str) -> None:
    assert str(Target.parse(text)) == text
    assert Target.parse(str(Target.parse(text))) == Target.parse(text)


def test_x86_without_a_feature_is_avx2() -> None:
    assert Target.parse("x86_64-linux-gnu") == Target.parse("x86_64-unknown-linux-gnu+avx2")


def test_the_strongest_feature_counts_and_all_are_needed() -> None:
    both = Target.parse("x86_64-linux-gnu+avx512-vnni+avx-vnni")
    assert both.tvm_target()["mattr"] == ["+avx512vnni"]
    assert {"avx_vnni", "avx512_vnni", "avx2"} <= set(both.cpu_flags)


def test_a_cpu_stands_for_its_features() -> None:
    assert Target.parse("x86_64-linux-gnu@znver4").features == ("avx512-vnni",)


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("x86_64-linux-gnux", "no triple 'x86_64-linux-gnux'", "did you mean 'x86_64-linux-gnu'?"),
        ("z80", "no triple 'z80'", "x86_64-linux-gnu"),
        ("", "no triple ''", "native"),
        ("x86_64-linux-gnu+avx512vnni", "no feature 'avx512vnni'", "did you mean 'avx512-vnni'?"),
        ("x86_64-linux-gnu+neon", "no feature 'neon'", "avx2, avx-vnni, avx512-vnni"),
        ("x86_64-linux-gnu+", "no feature ''", "avx2, avx-vnni, avx512-vnni"),
        ("x86_64-linux-gnu@znver44", "no cpu 'znver44'", "did you mean 'znver4'?"),
        ("native+avx2", "native takes no features", "leave them away"),
        ("native@znver4", "native takes no features and no cpu", "leave them away"),
        ("x86-64-linux-gnu", "no triple", "did you mean 'x86_64-linux-gnu'?"),
        ("c+avx2", "no feature 'avx2'", "takes no features"),
    ],
)
def test_unknown_names_are_errors_with_the_nearest(text: str, message: str, help: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.parse(text)
    assert message in caught.value.message
    assert help in caught.value.help


def test_the_nearest_triple_of_another_architecture_is_no_suggestion() -> None:
    with pytest.raises(TargetError) as caught:
        Target.parse("riscv64-linux-gnu")
    assert caught.value.help.startswith("known triples: ")


@pytest.mark.parametrize(
    ("flags", "feature"),
    [
        ("avx2 fma bmi1 bmi2 f16c movbe abm", "avx2"),
        ("avx2 fma bmi1 bmi2 f16c movbe abm avx_vnni", "avx-vnni"),
        (
            "avx2 fma bmi1 bmi2 f16c movbe abm avx_vnni avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni",
            "avx512-vnni",
        ),
    ],
)
def test_native_is_the_strongest_level_of_the_host(monkeypatch: pytest.MonkeyPatch, flags: str, feature: str) -> None:
    monkeypatch.setattr(target_module, "host_cpu_flags", lambda: frozenset(flags.split()))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert Target.parse("native").features == (feature,)
    assert Target.parse("native").missing_on_host() == ()


def test_native_on_an_unknown_host_points_to_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(TargetError, match="vax") as caught:
        Target.parse("native")
    assert "target c" in caught.value.help


def test_what_the_host_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "host_cpu_flags", lambda: frozenset(("avx2",)))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert "avx512_vnni" in Target.parse("x86_64-linux-gnu+avx512-vnni").missing_on_host()
    assert Target.parse("c").missing_on_host() == ()


def test_the_instruction_table_agrees_with_the_target() -> None:
    for feature in families()["x86"].features:
        target = Target.parse(f"x86_64-linux-gnu+{feature}")
        assert target.instructions.target() == target.tvm_target()
    assert Target.parse("c").instructions is None


@dataclasses.dataclass(frozen=True)
class _Claim(TargetFamily):
    name: str = "claim"
    summary: str = "takes a triple that has an owner"
    triples: tuple[str, ...] = ("c",)


def test_a_triple_has_one_owner() -> None:
    with pytest.raises(TargetError, match="belongs to 'c'"):
        register_family(_Claim())


class _Entry:
    """An entry point of an installed package."""

    def __init__(self, load: Callable[[], object]) -> None:
        self.load = load
        self.name = "other"
        self.value = "somebody.target"
        self.dist = None


def test_families_of_installed_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    other = _Claim(name="other", triples=("other-none-elf",))
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [_Entry(lambda: register_family(other))])
    registry.load_entry_points.cache_clear()
    try:
        assert families()["other"] is other
    finally:
        registry.load_entry_points.cache_clear()


def test_a_package_whose_targets_can_not_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> object:
        raise ImportError("no module named 'cross'")

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [_Entry(fail)])
    registry.load_entry_points.cache_clear()
    try:
        with pytest.raises(
            TargetError, match=r"package 'somebody\.target' can't be loaded: ImportError: no module"
        ) as caught:
            families()
        assert "update or uninstall" in caught.value.help
    finally:
        registry.load_entry_points.cache_clear()

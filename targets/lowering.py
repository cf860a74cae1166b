"""Lower TIR PrimFuncs to plain C functions: raw pointers, no packed calls, no TVM runtime.

TVM's own pipelines end in a packed calling convention that needs its runtime. This one keeps the generic lowering
passes, replaces every buffer parameter by a typed pointer, and hands the result to the LLVM or the C code generator.
Each function comes out as `void NAME(const int8_t *input, …)` under exactly the symbol that its caller gave it.

Alignment: a pointer parameter is assumed to be aligned to its element and to nothing more, also where the code loads
vectors (loads become `vmovdqu`, never `vmovdqa`), so that a caller may pass any address in its arena.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.target import Target

from qcc.targets import c_source
from qcc.targets.helium_source import with_intrinsics
from qcc.targets.tir import PrimFunc

C_HEADERS = ("stdint.h", "stddef.h", "string.h")
"""The only headers that C source from `build_c_source` needs."""


@tirx.transform.prim_func_pass(opt_level=0)  # type: ignore[untyped-decorator]  # tvm has no types
def _pointers_for_buffers(func: Any, _module: Any, _context: Any) -> Any:
    """Replace each buffer parameter by a pointer of the same name and bind the buffer to that pointer."""
    parameters, declarations = [], []
    for parameter in func.params:
        if tirx.is_buffer_var(parameter):
            pointer = tirx.Var(parameter.name, tvm.ir.PointerType(tvm.ir.PrimType(parameter.dtype)))
            declarations.append(tirx.DeclBuffer(parameter, data=pointer))
            parameter = pointer
        parameters.append(parameter)
    return tirx.PrimFunc(parameters, tirx.SeqStmt([*declarations, func.body]), func.ret_type, func.attrs)


def _pipeline(target: Any) -> Any:
    """The passes from scheduled TIR to what a code generator accepts."""
    passes = (
        tirx.transform.BindTarget(Target(target, host=target)),
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.StmtSimplify(),
        s_tir.transform.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        s_tir.transform.LoopPartition(),
        tirx.transform.VectorizeLoop(True),
        tirx.transform.UnrollLoop(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.CommonSubexprElim(),
        _pointers_for_buffers,
        tirx.transform.LowerIntrin(),
    )
    return tvm.ir.transform.Sequential(passes)


def lower(functions: Iterable[PrimFunc], target: Mapping[str, object]) -> Any:
    """Lower `functions` to one module whose functions take raw pointers; `target` is TVM's target dictionary."""
    module = tvm.IRModule({str(function.attrs["global_symbol"]): function for function in functions})
    with tvm.transform.PassContext(opt_level=3):
        lowered = _pipeline(Target(dict(target)))(module)
    return with_intrinsics(lowered) if target["kind"] == "c" else lowered


def _generate(functions: Iterable[PrimFunc], target: Mapping[str, object]) -> Any:
    """Run TVM's code generator for the kind of `target`."""
    generator = tvm.get_global_func(f"target.build.{target['kind']}")
    return generator(lower(functions, target), Target(dict(target)))


_NO_ALIAS = "tirx.noalias"
"""The attribute of a function whose parameters do not overlap in memory."""

_MAY_ALIAS = "-enable-tbaa:bool=false"
"""Keeps LLVM from telling buffers apart by the alias class that TVM gives each of them."""


def build_objects(functions: Iterable[PrimFunc], target: Mapping[str, object]) -> list[bytes]:
    """Compile `functions` with LLVM into as few object files as hold them, and return their bytes.

    Functions whose parameters may overlap (kernels that write over an operand) get an object of their own: TVM takes
    `tirx.noalias` for a whole module, and gives each buffer its own alias class whatever the attribute says.
    """
    functions = list(functions)
    apart = [function for function in functions if bool(function.attrs[_NO_ALIAS])]
    overlapping = [function for function in functions if not bool(function.attrs[_NO_ALIAS])]
    options = [*_options(target), *(() if _MAY_ALIAS in _options(target) else (_MAY_ALIAS,))]
    groups = ((apart, target), (overlapping, {**target, "cl-opt": options}))
    return [build_object(group, chosen) for group, chosen in groups if group]


def _options(target: Mapping[str, object]) -> tuple[str, ...]:
    """The options of LLVM's command line in TVM's dictionary."""
    options = target.get("cl-opt", ())
    return tuple(map(str, options)) if isinstance(options, (list, tuple)) else ()


def build_object(functions: Iterable[PrimFunc], target: Mapping[str, object]) -> bytes:
    """Compile `functions`, none of whose parameters overlap, with LLVM into one relocatable object file.

    `target` is TVM's dictionary: `{"kind": "llvm", "mtriple": …, "mcpu": …, "mattr": […]}`. The same functions and the
    same target give the same bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.o"
        _generate(functions, target).write_to_file(str(path))
        return path.read_bytes()


def build_assembly(functions: Iterable[PrimFunc], target: Mapping[str, object]) -> str:
    """Compile `functions` with LLVM and return the assembly text, for tests and for reading."""
    return str(_generate(functions, target).inspect_source("asm"))


def build_c_source(functions: Iterable[PrimFunc], comments: Mapping[str, str] | None = None) -> str:
    """Return C99 definitions of `functions`, without includes: `C_HEADERS` are what they need, <math.h> for floats.

    TVM puts an include block, `extern "C"` wrappers and export macros around each function; all of that is removed.
    `comments` are put before the functions, by name. `c_source.PRELUDE` belongs before them.
    """
    functions = list(functions)
    source = str(_generate(functions, {"kind": "c"}).inspect_source())
    return c_source.clean(_bodies_only(source), functions, comments or {})


_FOREIGN = re.compile(
    r"^#[^\n]*\n"  # includes, guards, macros
    r"|^extern \"C\"\n"
    r"|^// tvm target[^\n]*\n"
    r"|^void\* __tvm_ffi__library_ctx = NULL;\n"
    r"|^TVM_DLL [^;{}]*;\n",  # forward declarations
    re.MULTILINE,
)


def _bodies_only(source: str) -> str:
    """Strip TVM's preprocessor lines, globals, forward declarations and export macros from generated C."""
    text = _FOREIGN.sub("", source).replace("TVM_DLL ", "")
    return re.sub(r"\bbool\b", "_Bool", text).strip() + "\n"

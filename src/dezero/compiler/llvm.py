"""LLVM: text of kernels in, addresses of native functions out.

The only file that knows llvmlite. Where it is not installed there are no kernels, and
programs are replayed call by call. What was compiled once is kept on disk, by its text,
the processor and the version of the compiler, so that a second process starts at once.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dezero.backend.download import home
from dezero.backend.files import write_atomically
from dezero.compiler import blas, mathematics
from dezero.compiler.kernel import Kernel
from dezero.compiler.pool import Pool, pool_ir
from dezero.compiler.tiles import Loop

# Runs a table of kernels, one after the other, each on all threads or on one. An entry
# is five numbers: run, finish (or 0), args, rows, most threads (0: all there are).
_DRIVER = """
define void @dezero_run(ptr %pool, ptr %table, i64 %count) nounwind {
entry:
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %done ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %end
body:
  %at = getelementptr [5 x i64], ptr %table, i64 %i
  %run = load ptr, ptr %at
  %p1 = getelementptr i64, ptr %at, i64 1
  %finish = load ptr, ptr %p1
  %p2 = getelementptr i64, ptr %at, i64 2
  %args = load ptr, ptr %p2
  %p3 = getelementptr i64, ptr %at, i64 3
  %rows = load i64, ptr %p3
  %p4 = getelementptr i64, ptr %at, i64 4
  %most = load i64, ptr %p4
  %alone = icmp eq i64 %most, 1
  br i1 %alone, label %one, label %all
one:
  call void %run(ptr %args, i64 0, i64 %rows, i64 0)
  br label %ran
all:
  %n = call i64 @dezero_parallel(ptr %pool, ptr %run, ptr %args, i64 %rows, i64 %most)
  br label %ran
ran:
  %shares = phi i64 [ 1, %one ], [ %n, %all ]
  %none = icmp eq ptr %finish, null
  br i1 %none, label %done, label %finishing
finishing:
  call void %finish(ptr %args, i64 %shares)
  br label %done
done:
  %next = add i64 %i, 1
  br label %test
end:
  ret void
}
"""

# Adds each row of (m, d) to the row of (n, d) that its index names, in order. The
# answer is the place of an index out of range, or -1; nothing is added in that case.
_ADD_ROWS = """
define i64 @dezero_add_rows_{type}(ptr noalias %out, ptr noalias %rows, ptr %index,
                                   i64 %m, i64 %d, i64 %n) nounwind {{
entry:
  br label %check
check:
  %k = phi i64 [ 0, %entry ], [ %k1, %good ]
  %more = icmp slt i64 %k, %m
  br i1 %more, label %look, label %add
look:
  %pk = getelementptr i64, ptr %index, i64 %k
  %ik = load i64, ptr %pk
  %high = icmp sge i64 %ik, %n
  %minus = sub i64 0, %n
  %low = icmp slt i64 %ik, %minus
  %bad = or i1 %high, %low
  br i1 %bad, label %wrong, label %good
good:
  %k1 = add i64 %k, 1
  br label %check
wrong:
  ret i64 %k
add:
  br label %row
row:
  %i = phi i64 [ 0, %add ], [ %i1, %next ]
  %left = icmp slt i64 %i, %m
  br i1 %left, label %place, label %end
place:
  %pi = getelementptr i64, ptr %index, i64 %i
  %ii = load i64, ptr %pi
  %negative = icmp slt i64 %ii, 0
  %wrapped = add i64 %ii, %n
  %at = select i1 %negative, i64 %wrapped, i64 %ii
  %to = mul i64 %at, %d
  %from = mul i64 %i, %d
  br label %column
column:
  %j = phi i64 [ 0, %place ], [ %j1, %sum ]
  %inside = icmp slt i64 %j, %d
  br i1 %inside, label %sum, label %next
sum:
  %o = add i64 %to, %j
  %r = add i64 %from, %j
  %po = getelementptr {type}, ptr %out, i64 %o
  %pr = getelementptr {type}, ptr %rows, i64 %r
  %a = load {type}, ptr %po
  %b = load {type}, ptr %pr
  %c = fadd {type} %a, %b
  store {type} %c, ptr %po
  %j1 = add i64 %j, 1
  br label %column
next:
  %i1 = add i64 %i, 1
  br label %row
end:
  ret i64 -1
}}
"""


@functools.cache
def find_llvm() -> Any:
    """The module ``llvmlite.binding``, or ``None`` where it is not to be had."""
    if os.environ.get("DEZERO_COMPILE") == "numpy":
        return None
    try:
        binding = importlib.import_module("llvmlite.binding")
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        return binding if binding.llvm_version_info[0] >= 19 else None
    except Exception:  # not installed, or not for this machine
        return None


def reason_without() -> str:
    """Why there are no kernels."""
    if os.environ.get("DEZERO_COMPILE") == "numpy":
        return "DEZERO_COMPILE is 'numpy'"
    return "llvmlite is not installed; write: pip install 'dezero[jit]'"


class Native:
    """The compiler of this process, the functions it made, and the threads they use."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._lock = threading.Lock()
        target = binding.Target.from_default_triple()
        self.cpu = binding.get_host_cpu_name()
        features = binding.get_host_cpu_features()
        self.features = features.flatten()
        # Of 64 bytes, for what a kernel has at hand: of other processors, two of AVX2
        # or four of NEON count as one.
        self.registers = 32 if features.get("avx512f") else 8
        self._machine = target.create_target_machine(
            cpu=self.cpu,
            features=self.features,
            opt=2,
            jit=True,
            codemodel="jitdefault",
        )
        backing = binding.parse_assembly("")
        self._engine = binding.create_mcjit_compiler(backing, self._machine)
        self._objects: list[Any] = []  # their code must stay
        self._addresses: dict[str, int] = {}
        self.compiled = 0  # kernels, not counting what the disk had
        add_rows = [f"dezero_add_rows_{kind}" for kind in ("float", "double")]
        runtime = pool_ir() + _DRIVER
        runtime += "".join(_ADD_ROWS.format(type=kind) for kind in ("float", "double"))
        runtime += blas.gemm_ir()
        self._load("runtime", runtime, ["dezero_run", *add_rows, *blas.names()])
        self.pool = Pool(self._engine.get_function_address)
        signature = ctypes.CFUNCTYPE(
            None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
        )
        self.run_table = signature(self.address("dezero_run"))
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int64, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3
        )
        self.add_rows = {
            "f4": signature(self.address("dezero_add_rows_float")),
            "f8": signature(self.address("dezero_add_rows_double")),
        }

    @property
    def version(self) -> str:
        """Whose code it is: compiler and processor."""
        llvm = ".".join(map(str, self._binding.llvm_version_info))
        return f"LLVM {llvm}, {self.cpu}"

    def address(self, name: str) -> int:
        """Where a compiled function starts."""
        return self._addresses[name]

    def compile(self, kernels: Iterable[Kernel | Loop]) -> int:
        """Make sure that these kernels are there; how many were not."""
        with self._lock:
            new = {k.name: k for k in kernels if f"{k.name}.run" not in self._addresses}
            if not new:
                return 0
            names = []
            for kernel in new.values():
                names.append(f"{kernel.name}.run")
                if kernel.finishes:
                    names.append(f"{kernel.name}.finish")
            self._load("kernels", text_of(new.values()), names)
            return len(new)

    def _load(self, kind: str, text: str, names: Iterable[str]) -> None:
        key = hashlib.sha256(
            "\n".join([self.version, self.features, text]).encode()
        ).hexdigest()[:32]
        code = read_cached(key)
        if code is None:
            code = self._emitted(text, vectorize=kind == "runtime")
            write_cached(key, code)
            self.compiled += 1
        found = self._binding.ObjectFileRef.from_data(code)
        self._engine.add_object_file(found)
        self._objects.append(found)
        self._engine.finalize_object()
        for name in names:
            self._addresses[name] = self._engine.get_function_address(name)

    def _emitted(self, text: str, vectorize: bool) -> bytes:
        module = self._vectorized(text) if vectorize else self.optimized(text)
        code: bytes = self._machine.emit_object(module)
        return code

    def _parsed(self, text: str) -> Any:
        module = self._binding.parse_assembly(text)
        module.triple = self._machine.triple
        module.verify()
        return module

    def _vectorized(self, text: str) -> Any:
        """The module after all of LLVM's passes."""
        module = self._parsed(text)
        options = self._binding.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = True
        builder = self._binding.create_pass_builder(self._machine, options)
        builder.getModulePassManager().run(module, builder)
        return module

    def optimized(self, text: str) -> Any:
        """The module after the few of LLVM's passes that kernels need: functions stand
        in place of their calls, variables are in registers, what is for nothing goes.

        Loops and vectors are as they should be already; all the other passes together
        take longer than these and the machine code, and gain nothing.
        """
        module, binding = self._parsed(text), self._binding
        passes = binding.create_new_module_pass_manager()
        passes.add_always_inliner_pass()
        passes.add_global_dead_code_eliminate_pass()
        options = binding.create_pipeline_tuning_options()
        builder = binding.create_pass_builder(self._machine, options)
        passes.run(module, builder)
        passes = binding.create_new_function_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)
        return module

    def text(self, kernel: Kernel) -> str:
        """A kernel as LLVM IR, before LLVM's passes."""
        return text_of([kernel])

    def assembly(self, kernel: Kernel) -> str:
        """The machine code of a kernel, as text."""
        text: str = self._machine.emit_assembly(self.optimized(text_of([kernel])))
        return text


def text_of(kernels: Iterable[Kernel | Loop]) -> str:
    """One module of several kernels."""
    kernels = list(kernels)
    wanted = sorted({w for kernel in kernels for w in kernel.wanted})
    shared = mathematics.definitions(wanted) if wanted else ""
    there = set(shared.splitlines())
    needs = sorted({line for kernel in kernels for line in kernel.needs} - there)
    return "\n".join([*needs, shared, *(kernel.text for kernel in kernels)])


@functools.cache
def native() -> Native | None:
    """The compiler of this process; ``None`` without llvmlite."""
    binding = find_llvm()
    return None if binding is None else Native(binding)


# -- on disk --------------------------------------------------------------------------

_MAGIC = b"dezero kernel 1\n"


def _path(key: str) -> Path:
    return home() / "cache" / f"{key}.o"


def read_cached(key: str) -> bytes | None:
    """Code that was kept under a key, if it is there and whole."""
    try:
        data = _path(key).read_bytes()
    except OSError:
        return None
    digest, code = data[len(_MAGIC) : len(_MAGIC) + 32], data[len(_MAGIC) + 32 :]
    if data.startswith(_MAGIC) and hashlib.sha256(code).digest() == digest:
        return code
    return None  # of another version, or damaged: it is made anew


def write_cached(key: str, code: bytes) -> None:
    """Keep code under a key. Where the disk cannot, nothing is lost but time."""
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as file:
            file.write(_MAGIC + hashlib.sha256(code).digest() + code)
    except OSError:
        return

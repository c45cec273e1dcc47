"""Triton's names for kernels. Importing this needs Triton: ask `unavailable` first."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.models.kernels import is_interpreted

__all__ = ["TensorDescriptor", "Value", "constexpr", "tl", "triton"]

# Triton carries no types, so its modules are Any, and a kernel's parameters are Value or
# constexpr. Its interpreter knows constants by the very name of their annotation.
triton: Any = import_module("triton")
tl: Any = import_module("triton.language")
TensorDescriptor: Any = import_module("triton.tools.tensor_descriptor").TensorDescriptor
if TYPE_CHECKING:
    from typing import Any as Value
    from typing import Any as constexpr
else:
    Value, constexpr = tl.tensor, tl.constexpr


def _mend_interpreter() -> None:
    """Let the interpreter of Triton 3.6 do two things that it cannot.

    Loops may end at a number that was read: it holds such a number as an array of one, which
    NumPy 2.4 no longer takes for a number. Products may be of bfloat16: it multiplies their bits.
    """
    interpreter: Any = import_module("triton.runtime.interpreter")
    published_names = interpreter._patch_lang_tensor
    published_product = interpreter.InterpreterBuilder.create_dot

    def names(tensor: Any, scope: Any) -> None:
        published_names(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    def product(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        brain = tl.bfloat16
        a, b = (self.cast_impl(x, tl.float32) if x.dtype.scalar == brain else x for x in (a, b))
        return published_product(self, a, b, *rest)

    interpreter._patch_lang_tensor = names
    interpreter.InterpreterBuilder.create_dot = product


if is_interpreted() and triton.__version__.startswith("3.6."):
    _mend_interpreter()

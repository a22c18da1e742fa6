"""The code in a TorchScript archive, looked at before it is loaded: loading can run it.

Read as Python's syntax, of which TorchScript's serialised code is a small part; anything beyond that part
is refused, so that no two readers of a text can differ. Knows no archive.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping

from ...errors import ModelError
from .operators import ATEN, PRIM, REFUSED_CALL, REFUSED_WORDS

MOST_CODE = 2 << 20
"""Bytes; that of a large UNet is 100 KiB."""
_TEXT = re.compile(r"[\n\x20-\x7e]*")
_ATTRIBUTE = re.compile(r"\w+", re.ASCII)
_NODES = (
    ast.Module,
    ast.ClassDef,
    ast.FunctionDef,
    ast.arguments,
    ast.arg,
    ast.Return,
    ast.Assign,
    ast.AnnAssign,
    ast.For,
    ast.While,
    ast.If,
    ast.Expr,
    ast.Pass,
    ast.Break,
    ast.Continue,
    ast.Call,
    ast.keyword,
    ast.Attribute,
    ast.Name,
    ast.Constant,
    ast.Subscript,
    ast.Slice,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.UnaryOp,
    ast.USub,
    ast.Not,
    ast.BinOp,
    ast.operator,
    ast.BoolOp,
    ast.boolop,
    ast.Compare,
    ast.cmpop,
    ast.IfExp,
    ast.expr_context,
)
_TYPES = {
    *("Tensor", "Optional", "List", "Tuple", "Dict", "Final", "NoneType", "int", "float", "bool", "str"),
    *("number", "Device", "complex", "Any", "Union", "Module", "NamedTuple"),
}
_FUNCTIONS = {
    *("annotate", "unchecked_cast", "uninitialized", "getattr", "hasattr", "isinstance", "len", "range"),
    *("min", "max", "abs", "round", "list", "tuple", "zip", "enumerate"),
}
_ROOTS = {"torch", "ops", "__torch__", "CONSTANTS"}
_KNOWN = _TYPES | _FUNCTIONS | _ROOTS | {"inf", "nan", "infj", "nanj"}
_CLASS_WORDS = {"__parameters__", "__buffers__", "__constants__", "__annotations__"}
_METHODS = {"__init__", "__len__", "__contains__"}
_BASES = {"Module", "NamedTuple"}


def check_code(where: str, sources: Mapping[str, str]) -> None:
    """Every text of the archive's ``code/`` folder, by its path.

    Raises
    ------
    ModelError
        Operators that are not in `operators`, methods that run while a model is loaded, or anything that is
        not the plain code that torch writes.
    """
    if sum(map(len, sources.values())) > MOST_CODE:
        raise ModelError(f"{where}: more than {MOST_CODE >> 20} MiB of code; a model has some 100 KiB")
    trees = {path: _parsed(f"{where}: {path}", text) for path, text in sources.items()}
    own = {name for tree in trees.values() for name in _defined(tree)}
    for path, tree in trees.items():
        _Reader(f"{where}: {path}", own).read(tree)


def _parsed(where: str, text: str) -> ast.Module:
    if not _TEXT.fullmatch(text) or "\\\n" in text or '"""' in text or "'''" in text:
        raise ModelError(f"{where}: characters that torch does not write into code")
    if found := REFUSED_CALL.search(text):
        raise ModelError(f"{where}: calls {found[1]!r}, which a model may not")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT or (
                token.type == tokenize.STRING and token.string[0] not in "'\""
            ):
                raise ModelError(f"{where}: line {token.start[0]} has a comment or a prefixed text")
        return ast.parse(text)
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{where}: its code cannot be understood: {error}") from error


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names of functions, methods and attributes."""
    for top in tree.body:
        members = top.body if isinstance(top, ast.ClassDef) else [top]
        for one in members:
            if isinstance(one, ast.FunctionDef):
                yield one.name
            elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                yield one.target.id
            elif (name := _quoted_attribute(one)) is not None:
                yield name


def _quoted_attribute(statement: ast.stmt) -> str | None:
    """NAME of ``__annotations__["NAME"] = ...``."""
    if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript)):
        return None
    target = statement.targets[0]
    is_annotation = isinstance(target.value, ast.Name) and target.value.id == "__annotations__"
    return _plain_text(target.slice) if is_annotation else None


def _plain_text(node: ast.AST) -> str | None:
    """The text of a constant that is written without escapes; None for anything else."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return None
    width = (node.end_col_offset or 0) - node.col_offset
    return node.value if width == len(node.value) + 2 and _ATTRIBUTE.fullmatch(node.value) else None


class _Reader:
    """Walks the code of one file; ``own`` are the names that the archive defines."""

    def __init__(self, where: str, own: set[str]) -> None:
        self._where, self._own = where, own

    def read(self, tree: ast.Module) -> None:
        self._check_names(self._own)
        for top in tree.body:
            if isinstance(top, ast.ClassDef):
                self._class(top)
            elif isinstance(top, ast.FunctionDef):
                self._function(top)
            else:
                raise self._refuse(top, f"{type(top).__name__} outside of a function")

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name in REFUSED_WORDS:
                raise ModelError(
                    f"{self._where}: an attribute is called {name!r}, as an operator that is refused"
                )
            if name.startswith("__") and name.endswith("__") and name not in _METHODS:
                raise ModelError(
                    f"{self._where}: defines {name!r}, which could run while the model is loaded"
                )

    def _class(self, node: ast.ClassDef) -> None:
        bases = {base.id if isinstance(base, ast.Name) else "" for base in node.bases}
        if not bases <= _BASES or node.keywords or node.decorator_list:
            raise self._refuse(node, "a class of another kind than torch writes")
        for one in node.body:
            if isinstance(one, ast.FunctionDef):
                self._function(one)
            elif not isinstance(one, ast.Assign | ast.AnnAssign | ast.Pass):
                raise self._refuse(one, f"{type(one).__name__} in a class")
            else:
                self._walk(one, {*_CLASS_WORDS, *self._own})

    def _function(self, node: ast.FunctionDef) -> None:
        if node.decorator_list or node.args.vararg or node.args.kwarg:
            raise self._refuse(node, "a decorated function, or one of any number of arguments")
        bound = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
        bound |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and _is_bound(each)}
        if shadowed := bound & _KNOWN:
            raise self._refuse(node, f"its own meaning of {min(shadowed)!r}")
        for child in ast.walk(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and child is not node:
                raise self._refuse(child, "a function or class in a function")
        self._walk(node, bound)

    def _walk(self, top: ast.AST, bound: set[str]) -> None:
        """Every node below; chains of attributes as a whole."""
        waiting: list[ast.AST] = [top]
        while waiting:
            node = waiting.pop()
            if not isinstance(node, _NODES):
                raise self._refuse(node, f"{type(node).__name__}, which torch does not write")
            if isinstance(node, ast.Attribute):
                waiting.extend(self._chain(node, bound))
                continue
            if isinstance(node, ast.Name):
                self._name(node, bound)
            elif isinstance(node, ast.Call):
                self._getattr(node)
            waiting.extend(ast.iter_child_nodes(node))

    def _name(self, node: ast.Name, bound: set[str]) -> None:
        if node.id in _ROOTS or node.id not in bound | _KNOWN:
            raise self._refuse(node, f"the name {node.id!r}")

    def _chain(self, node: ast.Attribute, bound: set[str]) -> Iterator[ast.AST]:
        """``a.b.c`` from its root; yields what is left to be walked where the root is an expression."""
        parts: list[str] = []
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            parts.insert(0, root.attr)
            root = root.value
        if isinstance(root, ast.Name) and root.id in _ROOTS:
            return self._rooted(node, root.id, parts)
        for part in parts:
            self._attribute(node, part)
        yield root

    def _rooted(self, node: ast.AST, root: str, parts: list[str]) -> None:
        if root == "torch" and (len(parts) != 1 or parts[0] not in ATEN):
            raise self._refuse(node, f"the operator torch.{'.'.join(parts)}")
        if root == "ops" and not (
            len(parts) == 2 and parts[1] in {"aten": ATEN, "prim": PRIM}.get(parts[0], frozenset())
        ):
            raise self._refuse(node, f"the operator ops.{'.'.join(parts)}")
        if root == "__torch__" and ("classes" in parts or parts[-1] in REFUSED_WORDS):
            raise self._refuse(node, f"the compiled class {'.'.join(parts)}")
        if root == "CONSTANTS" and not re.fullmatch(r"c\d+", ".".join(parts)):
            raise self._refuse(node, f"CONSTANTS.{'.'.join(parts)}")

    def _attribute(self, node: ast.AST, name: str) -> None:
        if name in REFUSED_WORDS or name not in ATEN | PRIM | self._own:
            raise self._refuse(node, f"the attribute {name!r}, which is none of the model's own")

    def _getattr(self, node: ast.Call) -> None:
        """``getattr(self, "0")`` is an attribute too."""
        if not (isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")):
            return
        name = _plain_text(node.args[1]) if len(node.args) == 2 and not node.keywords else None
        if name is None:
            raise self._refuse(node, "an attribute that is not named plainly")
        self._attribute(node, name)

    def _refuse(self, node: ast.AST, what: str) -> ModelError:
        return ModelError(f"{self._where}: line {getattr(node, 'lineno', 0)}: {what} is refused")


def _is_bound(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)

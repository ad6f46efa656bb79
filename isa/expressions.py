"""Integer expressions of the assembler: numbers, names, operators, and f32(number)."""

import ast
import operator
import struct


class ExpressionError(ValueError):
    """An expression that has no value; `column` counts from 0 in its text."""

    def __init__(self, message: str, column: int = 0):
        super().__init__(message)
        self.column = column


_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv, ast.Div: operator.floordiv, ast.Mod: operator.mod,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}
_UNARY = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}


def float_bits(value: float) -> int:
    """The bits of `value` rounded to binary32."""
    return int.from_bytes(struct.pack("<f", value), "little")


LARGEST_BITS = 128  # of any value on the way


def _small(value: int) -> int:
    if value.bit_length() > LARGEST_BITS:
        raise ValueError(f"a value of more than {LARGEST_BITS} bits")
    return value


def evaluate(text: str, names: dict[str, int]) -> int:
    """The value of `text`, in which `names` may stand; a division is that of integers."""
    stripped = text.lstrip()
    shift = len(text) - len(stripped)
    try:
        tree = ast.parse(stripped.rstrip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{text.strip()!r} is no expression",
                              shift + max(0, (error.offset or 1) - 1)) from None
    try:
        return _value(tree.body, names)
    except ExpressionError as error:
        raise ExpressionError(str(error), shift + error.column) from None


def _value(node: ast.expr, names: dict[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            try:
                return _small(number)
            except ValueError as error:
                raise ExpressionError(str(error), node.col_offset) from None
        case ast.Name(id=name):
            if name not in names:
                raise ExpressionError(f"{name!r} is not defined", node.col_offset)
            return names[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            operands = _value(left, names), _value(right, names)
            if isinstance(op, ast.LShift) and operands[1] > LARGEST_BITS:
                raise ExpressionError(f"a shift by {operands[1]} is more than {LARGEST_BITS} bits",
                                      node.col_offset)
            try:
                return _small(_BINARY[type(op)](*operands))
            except (ZeroDivisionError, ValueError, OverflowError) as error:
                raise ExpressionError(str(error), node.col_offset) from None
        case ast.Call(func=ast.Name(id="f32"), args=[number], keywords=[]):
            return _float(number)
    raise ExpressionError("only integers, names, operators and f32(number) can stand here",
                          node.col_offset)


def _float(node: ast.expr) -> int:
    try:
        return float_bits(float(ast.literal_eval(node)))
    except (ValueError, TypeError, OverflowError):
        raise ExpressionError("f32 takes a number that binary32 can hold",
                              node.col_offset) from None

"""Objects of named fields that never reach a caller."""

from typing import ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True)
class Struct:
    """The base of a class whose fields are its annotations. They are given by position or by name.

    attrs would check them and write methods for them, and takes twenty times as long to make the class.
    That is worth it for what callers are given. For what is made with every request this takes too long.
    """

    _names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, frozen: bool = True, kw_only: bool = False) -> None:
        """Note the names of the fields; type checkers alone heed the options."""
        super().__init_subclass__()
        cls._names = tuple(cls.__annotations__)

    def __init__(self, *values: object, **named: object) -> None:
        self.__dict__.update(zip(self._names, values, strict=False), **named)

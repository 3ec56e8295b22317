"""Typed traits: what a team declares in `journeys/traits.py` is checked when it comes in; the rest stays free."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


class Secret:
    """Marks a trait that is private."""


Private = Annotated[T, Secret()]
"""A trait that enters no history, log, error, segment or journey: templates may say it, and nothing else: `Private[str]`."""


class Delicate:
    """Marks a trait that is sensitive."""


Sensitive = Annotated[T, Delicate()]
"""A trait that no message says or shows that it knows, such as one of health or faith: journeys and segments may decide by it.

What is of a special category, and asks for most care, is in the GDPR's article 9.
"""


class Guess:
    """Marks a trait that was inferred."""


Inferred = Annotated[T, Guess()]
"""A trait that was worked out of what a person did, and that they never told anybody: a message that says it gives that away."""

TRAITS: dict[str, Trait] = {}
ADDRESSES = ("email", "phone", "timezone", "locale")  # which Sojourn knows by itself


class Misfit(ValueError):
    """A value is not what the trait is declared to be. Says why, without the value if the trait is private."""


class Trait:
    """One declared trait."""

    def __init__(self, name: str, hint: Any) -> None:
        self.name = name
        self.is_private = _is_marked(hint, Secret)
        self.is_sensitive = _is_marked(hint, Delicate)
        self.is_inferred = _is_marked(hint, Guess)
        self._adapter: TypeAdapter[Any] = TypeAdapter(hint)

    def fit(self, value: Any) -> Any:
        """Return the value as declared, in JSON. Raises Misfit."""
        try:
            return self._adapter.dump_python(self._adapter.validate_python(value), mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            said = "" if self.is_private else f", not {str(first['input'])[:40]!r}"
            why = f"a value of another type is needed ({first['type']})" if self.is_private else f"{first['msg']}{said}"
            raise Misfit(f"traits.{self.name}: {why}") from None

    def typed(self, kept: Any) -> Any:
        """Return a kept value in the type that is declared; as it is, if it is from before the declaration and does not fit."""
        try:
            return self._adapter.validate_python(kept)
        except ValidationError:
            return kept


class Traits(BaseModel):
    """The base of a team's declaration: `class Person(Traits): plan: Literal["free", "pro"]`; one trait a line, with its type.

    A declared trait may be missing, and null takes it away; a value that does not fit is refused, and the old one stays.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name, field in cls.model_fields.items():
            if name in ADDRESSES:
                raise TypeError(
                    f"{cls.__module__}:{cls.__name__}.{name}: {name} is checked by itself; take it out of the declaration"
                )
            if name in TRAITS:
                raise TypeError(f"{cls.__module__}:{cls.__name__}.{name}: trait {name!r} is declared already; declare it once")
            hint = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            TRAITS[name] = Trait(name, hint)


def fit(name: str, value: Any) -> Any:
    """Return a trait's value as it is kept: coerced if it is declared, as it came if not. Raises Misfit."""
    trait = TRAITS.get(name)
    return value if trait is None or value is None else trait.fit(value)


def typed(name: str, kept: Any) -> Any:
    """Return a kept value as it is compared: in the trait's type if it is declared, in JSON's if not."""
    return kept if kept is None or name not in TRAITS else TRAITS[name].typed(kept)


def comparable(name: str, value: Any) -> bool:
    """Say whether a trait may ever have that value, or be in an order with it."""
    if value is None:
        return True
    if name not in TRAITS:
        return isinstance(value, (bool, int, float, str, list, dict))
    try:
        return type(typed(name, TRAITS[name].fit(value))) is type(value) or isinstance(value, (int, float))
    except Misfit:
        return False


def is_private(name: str) -> bool:
    """Say whether a trait is declared to be private."""
    return name in TRAITS and TRAITS[name].is_private


def any_private() -> bool:
    """Say whether any trait is declared to be private."""
    return any(each.is_private for each in TRAITS.values())


def is_sensitive(name: str) -> bool:
    """Say whether a trait is declared to be sensitive."""
    return name in TRAITS and TRAITS[name].is_sensitive


def is_inferred(name: str) -> bool:
    """Say whether a trait is declared to be inferred."""
    return name in TRAITS and TRAITS[name].is_inferred


def _is_marked(hint: Any, mark: type) -> bool:
    if get_origin(hint) is Annotated:
        return any(isinstance(each, mark) for each in get_args(hint)[1:]) or _is_marked(get_args(hint)[0], mark)
    return any(_is_marked(each, mark) for each in get_args(hint))

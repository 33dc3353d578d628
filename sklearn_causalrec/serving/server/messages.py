"""Requests and answers, as the interface describes and checks them."""

from datetime import UTC
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

MAX_USERS, MAX_ITEMS, MAX_K, MAX_EXCLUDED, MAX_ROWS = 1000, 10_000, 1000, 10_000, 1000
MAX_TEXT, MAX_COLUMNS, MAX_LIST, MAX_LINES = 1024, 1000, 10_000, 1000
LEAST, MOST = -(2**63), 2**64 - 1  # of int64 and uint64


def _wrong(text):
    return PydanticCustomError("value", text)


def _id(value):
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _wrong("an id is a whole number or text")
    if isinstance(value, int) and not LEAST <= value <= MOST:
        raise _wrong("an id that is a number has at most 64 bits")
    if isinstance(value, str):
        _text(value)
    return value


def _text(value):
    if len(value) > MAX_TEXT:
        raise _wrong(f"a text has at most {MAX_TEXT} characters")
    if not value.isascii() and any(0xD800 <= ord(c) < 0xE000 for c in value):
        raise _wrong("the text is not Unicode: it has half a surrogate pair")


def _scalar(value):
    if isinstance(value, str):
        _text(value)
    elif isinstance(value, int):
        if not LEAST <= value <= MOST:
            raise _wrong("a number has at most 64 bits")
    elif isinstance(value, float):
        if value != value or abs(value) == float("inf"):
            raise _wrong("the number is not finite")
    elif value is not None:
        raise _wrong("a value is a number, text, true, false or null")
    return value


def _columns(value):
    if not isinstance(value, dict):
        raise _wrong("an object of columns and values is needed")
    if len(value) > MAX_COLUMNS:
        raise _wrong(f"there are at most {MAX_COLUMNS} columns")
    for name, cell in value.items():
        _text(name)
        try:
            if isinstance(cell, list):
                if len(cell) > MAX_LIST:
                    raise _wrong(f"a list has at most {MAX_LIST} values")
                for one in cell:
                    _scalar(one)
            else:
                _scalar(cell)
        except PydanticCustomError as error:
            raise PydanticCustomError(
                "value", "{reason}", {"reason": error.message(), "field": name}
            ) from None
    return value


def _who(value):
    return _columns(value) if isinstance(value, dict) else _id(value)


def _seen(value):
    if not (isinstance(value, bool) or value == "rated"):
        raise _wrong('true, false or "rated"')
    return value


_ID = {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": MAX_TEXT}]}
_SCALAR = {"anyOf": [{"type": t} for t in ("number", "string", "boolean", "null")]}
_CELL = {"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR}]}
_ROW = {"type": "object", "additionalProperties": _CELL}
_WHO = {"anyOf": [*_ID["anyOf"], _ROW]}

Id = Annotated[Any, BeforeValidator(_id), WithJsonSchema(_ID)]
Who = Annotated[Any, BeforeValidator(_who), WithJsonSchema(_WHO)]
Columns = Annotated[Any, BeforeValidator(_columns), WithJsonSchema(_ROW)]
Arm = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema(_SCALAR)]
Seen = Annotated[
    Any,
    BeforeValidator(_seen),
    WithJsonSchema({"enum": [True, False, "rated"]}),
]


def _without_repetition(values):
    met = set()
    for value in values:
        if isinstance(value, dict):
            continue
        if value in met:
            raise PydanticCustomError(
                "value", "{one} is there twice", {"one": repr(value)[:60]}
            )
        met.add(value)
    return values


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Pair(_Strict):
    """A pair that is left out."""

    item: Id
    user: Id | None = Field(
        None, description="Without it, the item is left out for every user."
    )


class Lists(_Strict):
    """Whose lists, and of what."""

    users: Annotated[
        list[Who],
        Field(
            min_length=1,
            max_length=MAX_USERS,
            description="Users: ids, or objects with the column of ids and columns "
            "that differ between users, such as their features or their history. Ids "
            "that the log does not know are answered as cold start.",
        ),
        BeforeValidator(lambda v: _without_repetition(v) if _short(v) else v),
    ]
    k: Annotated[int, Field(ge=1, le=MAX_K, description="Items a user.")] = 10
    by: Literal["effect", "outcome"] = Field(
        "effect",
        description='"effect" is what changes because an item is shown, "outcome" what '
        "happens if it is shown.",
    )
    items: Annotated[list[Who], Field(min_length=1, max_length=MAX_ITEMS)] | None = (
        Field(None, description="Items to choose from. Without it, those of the log.")
    )
    exclude: Annotated[list[Pair], Field(max_length=MAX_EXCLUDED)] | None = Field(
        None, description="Pairs that are left out."
    )
    min_effect: FiniteFloat | None = Field(
        None, description="The effect above which a pair is a candidate."
    )
    context: Columns | None = Field(
        None, description="Values of columns that all lists share."
    )
    exclude_seen: Seen = Field(
        True, description="Which pairs of the log are left out: those shown, or rated."
    )
    T0: Arm = Field(None, description="The arm that `T1` is compared with.")
    T1: Arm = Field(None, description="The arm of the effect and of the outcome.")


def _short(values):
    return (
        isinstance(values, list)
        and len(values) <= MAX_USERS
        and all(isinstance(value, int | str | dict) for value in values)
    )


class RecommendRequest(Lists):
    """Lists for users."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"users": [3], "k": 3},
                {
                    "users": [{"user": 9001, "age": 31}],
                    "k": 5,
                    "context": {"hour": 20},
                    "exclude": [{"item": 17}],
                    "min_effect": 0.0,
                },
            ]
        }
    )


class ExplainRequest(Lists):
    """Lists for users, with what their scores rest on."""

    n_neighbors: Annotated[int, Field(ge=0, le=100)] = Field(
        5, description="The number of nearest ids by features."
    )
    model_config = ConfigDict(json_schema_extra={"examples": [{"users": [3], "k": 1}]})


class EffectRequest(_Strict):
    """The effect on rows."""

    rows: Annotated[
        list[Columns],
        Field(
            min_length=1,
            max_length=MAX_ROWS,
            description="Rows with the columns of the log that the model was fitted "
            "on.",
        ),
    ]
    T0: Arm = Field(None, description="The arm that `T1` is compared with.")
    T1: Arm = Field(None, description="The arm whose effect is asked for.")
    interval: bool = Field(False, description="Whether bounds are asked for, too.")
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="One minus the coverage of the bounds."
    )
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rows": [{"user": 3, "item": 7, "age": 31}]}]}
    )


class AuditRequest(BaseModel):
    """Which lines of the audit."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = Field(
        None, description="Without it, a day before `until`."
    )
    until: AwareDatetime | None = Field(None, description="Without it, now.")
    request: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="The id of a request."
    )
    key: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] | None = Field(
        None, description="The id of a key."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_LINES)] = Field(
        100, description="The number of lines, the last ones first."
    )

    @field_validator("since", "until")
    @classmethod
    def _in_utc(cls, time):
        """Refuse times that are none in UTC, such as the first hours of year 1."""
        try:
            return time and time.astimezone(UTC)
        except OverflowError:
            raise _wrong("there is no such time in UTC") from None


class Model(BaseModel):
    """The model that answered."""

    id: str
    name: str


class Place(BaseModel):
    """An item of a list."""

    item: Id
    rank: int
    score: float
    propensity: float | None = Field(
        None, description="The probability that the item is in the list, if drawn."
    )


class List(BaseModel):
    """The list of a user."""

    user: Id
    cold_start: bool = Field(description="Whether the log does not know the user.")
    items: list[Place]


class _Answer(BaseModel):
    request: str
    model: Model


class RecommendAnswer(_Answer):
    """Lists."""

    by: str
    lists: list[List]


class Side(BaseModel):
    """What the vector of a user or item rests on."""

    source: str
    feature_weight: float
    rows: int
    neighbors: list[Any]


class ExplainedPlace(Place):
    """An item of a list, with what its score rests on."""

    assumed: dict[str, float | None]
    because: list[Any] | None = None
    about: Side


class ExplainedList(BaseModel):
    """The list of a user, with what its scores rest on."""

    user: Id
    cold_start: bool
    about: Side | None
    items: list[ExplainedPlace]


class ExplainAnswer(_Answer):
    """Lists, with what their scores rest on."""

    by: str
    lists: list[ExplainedList]


class AuditAnswer(BaseModel):
    """Lines of the audit, the last one first."""

    request: str
    lines: list[dict[str, Any]]


class ReloadAnswer(_Answer):
    """Which model answers from now on."""

    replaced: bool
    refused: str | None = Field(
        description="Since when the file is refused that is there now, if it is."
    )


class Effect(BaseModel):
    """The effect on a row."""

    effect: float | None
    low: float | None = None
    high: float | None = None
    cold_start: bool | None = Field(
        None, description="Whether the log does not know the user or the item."
    )


class EffectAnswer(_Answer):
    """Effects."""

    effects: list[Effect]

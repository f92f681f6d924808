"""The ground of every kind: the model base with its CEL rules, object metadata, conditions and shared field types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

ACRONYMS = {"ttl": "TTL", "id": "ID"}


def camel(name: str) -> str:
    """Spell a snake_case attribute as the API does, e.g. `lock_ttl_seconds` as `lockTTLSeconds`."""
    first, *rest = name.split("_")
    return first + "".join(ACRONYMS.get(part, part.capitalize()) for part in rest)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over several fields: the API server checks `cel`, and whoever has no API server calls `holds`.

    `cel` is None where the schema itself enforces it (a list map with a key twice); `holds` is None where the rule
    compares with the stored object, which exists on the API server only.
    """

    cel: str | None
    message: str
    holds: Callable[[Any], bool] | None = None
    reason: str | None = None
    field_path: str | None = None

    def as_validation(self) -> dict[str, str]:
        """Render the entry of `x-kubernetes-validations`; only for rules with `cel`."""
        entry = {"rule": self.cel or "", "message": self.message}
        if self.reason is not None:
            entry["reason"] = self.reason
        if self.field_path is not None:
            entry["fieldPath"] = self.field_path
        return entry


def immutable(field: str) -> Rule:
    """Build the rule that a field which is always present never changes."""
    return Rule(
        cel=f"self.{field} == oldSelf.{field}",
        message=f"{field} is immutable",
        reason="FieldValueForbidden",
        field_path=f".{field}",
    )


def immutable_optional(field: str) -> Rule:
    """Build the rule that an optional field is never set, changed or removed after creation."""
    return Rule(
        cel=f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        message=f"{field} is immutable (it cannot be set, changed or removed after creation)",
    )


class Model(BaseModel):
    """An object of the API: frozen, camelCase outside, snake_case inside, unknown fields ignored unless strict."""

    model_config = ConfigDict(
        alias_generator=camel, populate_by_name=True, extra="ignore", frozen=True, protected_namespaces=()
    )

    #: Rules over several fields of this object, in the order of the design.
    rules: ClassVar[tuple[Rule, ...]] = ()
    #: Extra keys of this object's schema, e.g. minProperties.
    schema_extra: ClassVar[Mapping[str, Any]] = {}
    #: Whether fields that the model does not know are fine even in a strict parse.
    open_fields: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any, info: ValidationInfo) -> Any:
        if not _strict(info) or not isinstance(data, Mapping) or cls.open_fields:
            return data
        known = {alias for name, field in cls.model_fields.items() for alias in (name, field.alias or name)}
        unknown = sorted(set(data) - known)
        if unknown:
            names = sorted(field.alias or name for name, field in cls.model_fields.items())
            raise ValueError(f"unknown field {', '.join(unknown)}; known here: {', '.join(names)}")
        return data

    @model_validator(mode="after")
    def _check_rules(self, info: ValidationInfo) -> Model:
        if _strict(info):
            for rule in self.rules:
                if rule.holds is not None and not rule.holds(self):
                    raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        validations = [rule.as_validation() for rule in cls.rules if rule.cel is not None]
        if validations:
            schema["x-kubernetes-validations"] = validations
        schema.update(cls.schema_extra)
        return schema

    def to_json(self) -> dict[str, Any]:
        """Return the object as the API spells it, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _strict(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("strict"))


#: Schema of a 32-bit and of a 64-bit field.
INT32: Final[dict[str, Any]] = {"format": "int32"}
INT64: Final[dict[str, Any]] = {"format": "int64"}

_OPEN_OBJECT: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_INT_OR_STRING: dict[str, Any] = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}

#: A name of another object in the same namespace.
DNSLabel = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
#: A name of a core object such as a Secret, or a key in one.
CoreName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
#: A moment, RFC 3339 with a zone.
Time = Annotated[AwareDatetime, WithJsonSchema({"type": "string", "format": "date-time"})]
#: An object whose shape is Kubernetes' own or the user's.
OpenObject = Annotated[dict[str, Any], WithJsonSchema(_OPEN_OBJECT)]
#: Any JSON value.
AnyValue = Annotated[Any, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
#: A count, or a percentage such as 25%.
IntOrPercent = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=r"^[0-9]+%?$")],
    WithJsonSchema({**_INT_OR_STRING, "pattern": r"^[0-9]+%?$"}),
]
#: An amount of bytes: a number, or one with a unit such as 512Mi.
Bytes = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|k|M|G)?$")],
    WithJsonSchema({**_INT_OR_STRING, "pattern": r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|k|M|G)?$"}),
]
#: A container image.
Image = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Ref(Model):
    """A reference to another object of the same namespace."""

    name: DNSLabel = Field(description="Name of the object, in the same namespace.")


class PodTemplateMeta(Model):
    """Labels and annotations for pods."""

    labels: dict[str, Annotated[str, StringConstraints(max_length=63)]] | None = Field(
        default=None, description="Labels to add to the pods; the operator's own labels win."
    )
    annotations: dict[str, Annotated[str, StringConstraints(max_length=65536)]] | None = Field(
        default=None, description="Annotations to add to the pods."
    )


class PodTemplate(Model):
    """Additions to the pod template that the operator builds."""

    metadata: PodTemplateMeta | None = Field(default=None, description="Labels and annotations to add to the pods.")
    spec: OpenObject | None = Field(
        default=None,
        description=(
            "Any part of a Kubernetes PodSpec, merged into the built one: containers, initContainers, env and volumes "
            "by name, volumeMounts by mountPath; the operator's environment variables, labels, restartPolicy and a "
            "grace period that covers the drain always win."
        ),
    )


class Condition(Model):
    """One observation about a resource, in the common Kubernetes form."""

    type: Annotated[str, StringConstraints(max_length=316)] = Field(description="What is observed.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra=INT64,
        description="Generation of the spec on which the observation rests.",
    )
    last_transition_time: Time = Field(description="When status last changed.")
    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ] = Field(description="One word for the cause; part of the API.")
    message: Annotated[str, StringConstraints(max_length=4096)] = Field(
        description="What was seen and what to do about it, for people."
    )


class Status(Model):
    """What every kind's status has."""

    observed_generation: int | None = Field(
        default=None, ge=0, json_schema_extra=INT64, description="Generation of the spec that this status describes."
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="Observations about this resource, one for each type.",
    )

    def condition(self, type: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((found for found in self.conditions or () if found.type == type), None)


class OwnerReference(Model):
    """Who owns an object."""

    api_version: str = Field(default="", description="API version of the owner.")
    kind: str = Field(default="", description="Kind of the owner.")
    name: str = Field(default="", description="Name of the owner.")
    uid: str = Field(default="", description="Uid of the owner.")
    controller: bool | None = Field(default=None, description="Whether the owner manages the object.")


class ObjectMeta(Model):
    """The part of an object's metadata that Umbel reads."""

    open_fields: ClassVar[bool] = True

    name: str = Field(default="", description="Name, unique in the namespace for the kind.")
    namespace: str = Field(default="default", description="Namespace.")
    uid: str = Field(default="", description="Identity of this incarnation.")
    generation: int = Field(default=0, description="Grows with each change of the spec.")
    resource_version: str = Field(default="", description="Changes with each write.")
    creation_timestamp: Time | None = Field(default=None, description="When it was created.")
    deletion_timestamp: Time | None = Field(default=None, description="When its deletion was asked for.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")
    finalizers: list[str] = Field(default_factory=list, description="What must happen before it may vanish.")
    owner_references: list[OwnerReference] = Field(default_factory=list, description="Owners.")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; columns with `wide` show with `-o wide` only."""

    name: str
    type: Literal["string", "integer", "boolean", "date"]
    path: str
    wide: bool = False
    meaning: str = ""


READY_COLUMN = Column(
    "Ready", "string", '.status.conditions[?(@.type=="Ready")].status', meaning="Status of the condition Ready."
)
REASON_COLUMN = Column(
    "Reason",
    "string",
    '.status.conditions[?(@.type=="Ready")].reason',
    wide=True,
    meaning="Reason of the condition Ready.",
)
AGE_COLUMN = Column("Age", "date", ".metadata.creationTimestamp", meaning="Time since it was created.")


class Resource(Model):
    """What every kind has: metadata, and facts about the kind for its CRD."""

    plural: ClassVar[str]
    short_name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    scale: ClassVar[Mapping[str, str] | None] = None

    metadata: ObjectMeta = Field(description="Standard object metadata.")

    @classmethod
    def kind_name(cls) -> str:
        """Return the kind, e.g. `Broker`."""
        return cls.__name__

    @property
    def name(self) -> str:
        """Return metadata.name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """Return metadata.namespace."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """Return metadata.uid."""
        return self.metadata.uid

    @property
    def generation(self) -> int:
        """Return metadata.generation."""
        return self.metadata.generation

    @property
    def deleting(self) -> bool:
        """Tell whether deletion was asked for."""
        return self.metadata.deletion_timestamp is not None

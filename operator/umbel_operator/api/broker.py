"""Broker: one Redis, the key prefix in it, and the beat process that serves it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from umbel_operator.api.base import (
    AGE_COLUMN,
    INT32,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    CoreName,
    Image,
    Model,
    OpenObject,
    PodTemplate,
    Resource,
    Rule,
    Status,
    immutable_optional,
)

Address = Annotated[str, StringConstraints(min_length=3, max_length=260, pattern=r"^[A-Za-z0-9._\[\]:-]+:[0-9]{1,5}$")]


class Sentinel(Model):
    """What a connection through Redis Sentinel needs."""

    master_name: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Name under which the Sentinels know the master."
    )


class CredentialsSecretRef(Model):
    """A Secret with the Redis user name and password."""

    name: CoreName = Field(description="Name of the Secret, in the namespace of the Broker.")
    username_key: CoreName | None = Field(
        default=None, description="Key of the user name in the Secret; left out, Redis' default user is used."
    )
    password_key: CoreName = Field(default="password", description="Key of the password in the Secret.")


class SecretKeyRef(Model):
    """One key of a Secret."""

    name: CoreName = Field(description="Name of the Secret.")
    key: CoreName = Field(description="Key in the Secret.")


class SecretRef(Model):
    """A Secret."""

    name: CoreName = Field(description="Name of the Secret.")


class TLS(Model):
    """TLS settings; the presence of this object, even empty, turns TLS on."""

    ca_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Certificate authority that signed the server's certificate; left out, the system's are trusted.",
    )
    client_cert_secret_ref: SecretRef | None = Field(
        default=None, description="Secret of type kubernetes.io/tls with the client's certificate and key."
    )
    server_name: CoreName | None = Field(
        default=None, description="Name to expect in the server's certificate, where it differs from the address."
    )


class Connection(Model):
    """How Redis is reached."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == 'Sentinel' ? has(self.sentinel) : !has(self.sentinel)",
            "sentinel is required when type is Sentinel and forbidden otherwise",
            lambda c: (c.type == "Sentinel") == (c.sentinel is not None),
        ),
        Rule(
            "self.type != 'Cluster' || self.database == 0",
            "Redis Cluster has only database 0",
            lambda c: c.type != "Cluster" or c.database == 0,
        ),
        Rule(
            "self.type != 'Standalone' || self.addresses.size() == 1",
            "Standalone takes exactly one address",
            lambda c: c.type != "Standalone" or len(c.addresses) == 1,
        ),
        Rule(None, "addresses holds a value twice", lambda c: len(set(c.addresses)) == len(c.addresses)),
    )

    type: Literal["Standalone", "Sentinel", "Cluster"] = Field(
        default="Standalone", description="Kind of Redis installation."
    )
    addresses: list[Address] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Where Redis (the Sentinels, or nodes of the Cluster) listens, as host:port; one for Standalone.",
    )
    database: int = Field(default=0, ge=0, le=255, json_schema_extra=INT32, description="Number of the database.")
    sentinel: Sentinel | None = Field(default=None, description="Settings for type Sentinel, and only for that.")
    credentials_secret_ref: CredentialsSecretRef | None = Field(
        default=None,
        description="Secret with user name and password; mounted as files into pods, never read by the operator.",
    )
    tls: TLS | None = Field(default=None, description="TLS settings; its presence, even empty, turns TLS on.")


class Beat(Model):
    """The process that fires Schedules, promotes delayed tasks and buries dead workers."""

    replicas: int = Field(
        default=1,
        ge=0,
        le=2,
        json_schema_extra=INT32,
        description="Number of beat pods: 1, 2 for a warm standby behind a lock in Redis, or 0 to fire nothing.",
    )
    image: Image | None = Field(
        default=None, description="Image of beat; left out, the operator's setting is used. It needs no code of yours."
    )
    resources: OpenObject | None = Field(
        default=None, description="Compute resources of the beat container, as in a Kubernetes container."
    )
    lock_ttl_seconds: int = Field(
        default=15,
        ge=5,
        le=300,
        json_schema_extra=INT32,
        description="Seconds after which a standby takes over from a leader that has gone silent.",
    )
    template: PodTemplate | None = Field(
        default=None, description="Additions to beat's pod template; the container is named beat."
    )


class BrokerSpec(Model):
    """The wanted state of a Broker."""

    rules: ClassVar[tuple[Rule, ...]] = (immutable_optional("keyPrefix"),)

    connection: Connection = Field(description="How Redis is reached.")
    key_prefix: Annotated[
        str | None, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9:._-]*$")
    ] = Field(
        default=None,
        description="First part of every Redis key; left out, umbel:<namespace>:<name>. Cannot change later.",
    )
    beat: Beat = Field(
        default=Beat(),
        description="The process that fires Schedules, promotes delayed tasks and buries dead workers.",
    )


class BrokerStatus(Status):
    """The observed state of a Broker."""

    key_prefix: Annotated[str | None, StringConstraints(max_length=128)] = Field(
        default=None, description="First part of every Redis key in use."
    )
    server_version: Annotated[str | None, StringConstraints(max_length=64)] = Field(
        default=None, description="Version of the Redis server."
    )
    beat_replicas: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of beat pods that exist."
    )
    beat_ready_replicas: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of beat pods that are ready."
    )
    config_revision: Annotated[str | None, StringConstraints(max_length=64)] = Field(
        default=None, description="Serial of the configuration that the operator wrote for beat."
    )
    loaded_revision: Annotated[str | None, StringConstraints(max_length=64)] = Field(
        default=None, description="Serial of the configuration that beat works with."
    )
    schedules: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of Schedules in the configuration."
    )
    queues: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of TaskQueues in the configuration."
    )


class Broker(Resource):
    """A Redis that queues live in, with the beat process that serves them."""

    plural: ClassVar[str] = "brokers"
    short_name: ClassVar[str] = "umb"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Mode", "string", ".spec.connection.type", meaning="Kind of Redis installation."),
        Column("Beat", "integer", ".status.beatReadyReplicas", meaning="Beat pods that are ready."),
        Column("Schedules", "integer", ".status.schedules", meaning="Schedules in the configuration."),
        READY_COLUMN,
        REASON_COLUMN,
        AGE_COLUMN,
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.metadata.name.size() <= 52",
            "metadata.name must be no more than 52 characters",
            lambda b: len(b.metadata.name) <= 52,
        ),
    )

    spec: BrokerSpec = Field(description="The wanted state.")
    status: BrokerStatus = Field(default=BrokerStatus(), description="The observed state; written by the operator.")

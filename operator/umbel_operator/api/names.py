"""Spell the names that are part of the API once: group, version, labels, annotations, finalizers."""

from __future__ import annotations

from typing import Final

GROUP: Final = "umbel.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

#: Field manager of everything that the operator writes.
FIELD_MANAGER: Final = "umbel-operator"
#: Value of the label app.kubernetes.io/managed-by on every child.
MANAGED_BY: Final = "umbel-operator"
#: What `brokerRef` names when it is left out.
DEFAULT_BROKER: Final = "default"

LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_BROKER: Final = f"{GROUP}/broker"
LABEL_COMPONENT: Final = f"{GROUP}/component"
LABEL_OPERATOR_CLASS: Final = f"{GROUP}/operator-class"

#: On a Schedule: any new value runs it once, now.
ANNOTATION_TRIGGER: Final = f"{GROUP}/trigger"
#: On a WorkerPool or Broker: copied to the pod template, so a new value restarts the pods one by one.
ANNOTATION_RESTARTED_AT: Final = f"{GROUP}/restarted-at"
#: On a TaskQueue or Broker that is being deleted: give up waiting and release the finalizer.
ANNOTATION_FORCE_DELETE: Final = f"{GROUP}/force-delete"
#: On beat's pods: the serial of the newest configuration; a change makes the kubelet refresh the mounted files.
ANNOTATION_CONFIG_SERIAL: Final = f"{GROUP}/config-serial"
#: On a Deployment: hash of the pod template that the operator built.
ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"

#: On every child: hash of what the operator last applied, so that one which starts anew need not apply it again.
ANNOTATION_APPLIED_HASH: Final = f"{GROUP}/applied-hash"

#: On a pod: Kubernetes' own, by which a Deployment chooses the pods to remove.
ANNOTATION_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"

#: On a Broker while TaskQueues or WorkerPools refer to it.
FINALIZER_IN_USE: Final = f"{GROUP}/in-use"
#: On a TaskQueue whose deletionPolicy asks for work before it goes.
FINALIZER_QUEUE: Final = f"{GROUP}/queue"

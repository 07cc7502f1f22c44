"""Write a Sluicegate plugin in Python.

A plugin says which fields of which events it wants, and is then handed batches of them::

    from sluicegate_plugin import Batch, Finding, Kind, NoConfig, Output, Plugin, Severity, Subscription, export

    class Deletions(Plugin[NoConfig]):
        name = "deletions"
        version = "1.0.0"
        kind = Kind.DETECT
        config = NoConfig

        def configure(self, config: NoConfig, wanted: Subscription) -> None:
            self.bucket = wanted.field("requestParameters.bucketName")
            wanted.clause().one_of("eventSource", "s3.amazonaws.com").one_of("eventName", "DeleteBucket")

        def process(self, batch: Batch, out: Output) -> None:
            for row in batch:
                bucket = row.str(self.bucket) or ""
                out.find(row, Finding("bucket-deleted", "A bucket was deleted", Severity.MEDIUM).entity(bucket))

    WitWorld = export(Deletions)

Made a component by componentize-py it is ready for the host. Under CPython ``export`` changes nothing, so
that ordinary unit tests run, with ``sluicegate_plugin.testing`` in the place of the host.
"""

from . import log
from .batch import Batch, Field, Row, ValueKind
from .guest import export
from .output import Addition, Finding, Output
from .plugin import NoConfig, Plugin
from .settings import setting
from .subscription import Clause, Subscription, pointer
from .wit import Kind, Severity

__all__ = [
    "Addition",
    "Batch",
    "Clause",
    "Field",
    "Finding",
    "Kind",
    "NoConfig",
    "Output",
    "Plugin",
    "Row",
    "Severity",
    "Subscription",
    "ValueKind",
    "export",
    "log",
    "pointer",
    "setting",
]

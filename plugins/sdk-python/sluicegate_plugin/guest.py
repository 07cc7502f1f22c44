"""The glue between the interface and a plugin; used by components and by the test kit."""

from __future__ import annotations

import sys
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from . import log, settings, wit
from .batch import Batch
from .output import Output
from .plugin import Plugin
from .subscription import Subscription


def describe(plugin: type[Plugin[Any]]) -> wit.Description:
    """What a plugin says it is."""
    return wit.Description(plugin.name, plugin.version, plugin.kind, settings.schema_text(plugin.config))


class Configured:
    """A plugin with the fields it asked for."""

    def __init__(self, plugin: type[Plugin[Any]], configuration: str) -> None:
        """Configures a plugin; raises `Err` with what is wrong with the configuration."""
        try:
            config = settings.parse(plugin.config, configuration)
            wanted = Subscription()
            self._plugin = plugin()
            self._plugin.configure(config, wanted)
        except ValueError as error:
            raise wit.Err(str(error)) from None
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            raise wit.Err(f"failed to take the configuration: {_place(error)}") from None
        self.subscription = wanted.into_raw()

    def process(self, raw: wit.Batch) -> wit.Outcome:
        """Hands a batch to the plugin; raises `Err` with the type and the place of what went wrong."""
        fields = self.subscription.fields
        if len(raw.columns) != len(fields):
            raise wit.Err(f"got {len(raw.columns)} columns for {len(fields)} fields")
        out = Output(self._plugin.name, raw.rows)
        _repeat(raw)
        try:
            self._plugin.process(Batch(raw, fields), out)
            return out.into_raw()
        except MemoryError:
            # The host knows which limit it was, and says so when this ends the instance.
            raise
        except (Exception, SystemExit) as error:
            # Not the exception's own text: it may hold what stood in an event.
            raise wit.Err(_place(error)) from None


def _repeat(raw: wit.Batch) -> None:
    """Has `random` depend on the batch and on nothing else, so that a run repeats."""
    if random := sys.modules.get("random"):
        random.seed(raw.now_ms << 32 | raw.rows)


def _place(error: BaseException) -> str:
    # Not with `traceback`: it looks for the source, and a component has no files to look in.
    at: TracebackType = error.__traceback__  # type: ignore[assignment]
    while at.tb_next:
        at = at.tb_next
    code = at.tb_frame.f_code
    return f"{type(error).__name__} in {code.co_name} ({code.co_filename.rsplit('/', 1)[-1]}, line {at.tb_lineno})"


class _NoMoreModules:
    """Answers for modules that were not imported while the component was made: there are no files."""

    advice = "import it at the top of the plugin"

    @classmethod
    def find_spec(cls, name: str, *_: object) -> NoReturn:
        raise ModuleNotFoundError(f"{name} is not in the component: {cls.advice}", name=name)


def seal() -> None:
    """Done first in a component: there is the log to write to, and nothing to read. Not at its making: then
    there is no log yet, but all modules."""
    if _NoMoreModules in sys.meta_path or not wit.IN_COMPONENT:
        return
    sys.stdout = log.Stream(wit.Level.INFO)  # type: ignore[assignment]
    sys.stderr = log.Stream(wit.Level.WARN)  # type: ignore[assignment]
    builtin = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "PathFinder"]
    sys.meta_path[:] = [*builtin, _NoMoreModules]


def export(plugin: type[Plugin[Any]]) -> type:
    """Makes a plugin what the host calls. The result must be called ``WitWorld``."""
    configured: list[Configured] = []

    class WitWorld:
        """The plugin as the host sees it."""

        def describe(self) -> wit.Description:
            seal()
            return describe(plugin)

        def configure(self, json: str) -> wit.RawSubscription:
            seal()
            configured[:] = [Configured(plugin, json)]
            return configured[0].subscription

        def process(self, batch: wit.Batch) -> wit.Outcome:
            if not configured:
                raise wit.Err("process was called before configure")
            return configured[0].process(batch)

    return WitWorld


def load(file: str, source: str) -> Any:
    """Runs a plugin's source, once, in a component that was made without it; answers with its ``WitWorld``.

    Raises ``Err`` with file, line and reason when the source cannot be run or ends without a plugin."""
    seal()
    _NoMoreModules.advice = "a plugin that comes as source has only what the runner was made with"
    module = ModuleType(file.removesuffix(".py"))
    # Dataclasses look their module up.
    sys.modules[module.__name__] = module
    try:
        # To show the line of a syntax error Python opens the file, and there are none: the name is one that
        # cannot be opened.
        compile(source, "\ud800", "exec")
        exec(compile(source, file, "exec"), module.__dict__)
    except SyntaxError as error:
        raise wit.Err(f"{file}, line {error.lineno}: {error.msg}") from None
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        reason = f": {error}" if isinstance(error, ImportError) else ""
        raise wit.Err(f"failed to run the source: {_place(error)}{reason}") from None
    if not (world := getattr(module, "WitWorld", None)):
        raise wit.Err(f"{file} has no plugin: it must end with `WitWorld = export(...)`")
    return world()

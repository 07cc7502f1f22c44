"""Runs plugins that come as source: one component for all of them.

The host calls `configure` twice: first with the source, as ``{"file": …, "source": …}``, then, once it knows
what the plugin is, with the operator's configuration. What is imported here is all that a plugin can import.
"""

import base64  # noqa: F401
import binascii  # noqa: F401
import bisect  # noqa: F401
import collections.abc  # noqa: F401
import contextlib  # noqa: F401
import copy  # noqa: F401
import csv  # noqa: F401
import dataclasses  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import difflib  # noqa: F401
import enum  # noqa: F401
import fnmatch  # noqa: F401
import fractions  # noqa: F401
import functools  # noqa: F401
import hashlib  # noqa: F401
import heapq  # noqa: F401
import hmac  # noqa: F401
import html  # noqa: F401
import io  # noqa: F401
import ipaddress  # noqa: F401
import itertools  # noqa: F401
import json
import math  # noqa: F401
import operator  # noqa: F401
import random  # noqa: F401
import re  # noqa: F401
import statistics  # noqa: F401
import string  # noqa: F401
import struct  # noqa: F401
import textwrap  # noqa: F401
import types  # noqa: F401
import typing  # noqa: F401
import unicodedata  # noqa: F401
import urllib.parse  # noqa: F401
import uuid  # noqa: F401
import zlib  # noqa: F401
from typing import Any

from sluicegate_plugin import guest, wit

_plugin: list[Any] = []



class WitWorld:
    """Whatever plugin it was given, as the host sees it."""

    def describe(self) -> Any:
        if _plugin:
            return _plugin[0].describe()
        return wit.Description("python-runner", "0.1.0", wit.Kind.FILTER, "")

    def configure(self, text: str) -> Any:
        if _plugin:
            return _plugin[0].configure(text)
        given = json.loads(text)
        if given.keys() != {"file", "source"}:
            raise wit.Err("this is no plugin but what runs plugins that come as source")
        _plugin.append(guest.load(given["file"], given["source"]))
        return wit.RawSubscription([], [])

    def process(self, batch: Any) -> Any:
        if not _plugin:
            raise wit.Err("process was called before configure")
        return _plugin[0].process(batch)

"""Texts that may be shown: without the secrets that URLs carry."""

from __future__ import annotations

import re


def redact(text: str) -> str:
    """Return `text` with user names, passwords and query strings of URLs as ``***``.

    >>> redact("rtsp://me:secret@camera/1?token=abc: 401 Unauthorized")
    'rtsp://***@camera/1?***: 401 Unauthorized'
    """
    text = re.sub(r"://\S*@", "://***@", text)
    return re.sub(r"(://[^\s?]*\?)\S*?(?=:?(?:\s|$))", r"\1***", text)

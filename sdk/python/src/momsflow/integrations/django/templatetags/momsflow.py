"""`{% load momsflow %}{% momsflow %}`: the script of the pixel, with the CSP nonce of django-csp where there is one."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString, mark_safe

from ...web import pixel_tag
from .. import conf

register = template.Library()


@register.simple_tag(takes_context=True)
def momsflow(context: dict[str, Any]) -> SafeString:
    pixel = conf.pixel()
    if pixel is None:
        return mark_safe("")
    nonce = getattr(context.get("request"), "csp_nonce", None)
    return mark_safe(pixel_tag(pixel["host"], pixel["write_key"], str(nonce) if nonce else None))

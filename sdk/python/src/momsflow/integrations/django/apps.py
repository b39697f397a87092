"""The app: makes the default client from the settings."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from ... import default
from .conf import client_options


class MomsflowConfig(AppConfig):
    name = "momsflow.integrations.django"
    label = "momsflow"
    verbose_name = "momsflow"

    def ready(self) -> None:
        given, options = client_options()
        # A forked worker begins with a queue of its own, so it does no harm that this is before the fork.
        (default.configure if given else default.configure_from_environment)(**{"strict": settings.DEBUG, **options})

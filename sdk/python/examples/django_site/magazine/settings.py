"""A magazine in Django; the part about momsflow is at the end."""

import os
from pathlib import Path

SECRET_KEY = "only an example"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "magazine.urls"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", Path(__file__).resolve().parent.parent / "db.sqlite3"),
    }
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).resolve().parent],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "momsflow.integrations.django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "momsflow.integrations.django.middleware.MomsflowMiddleware",
]

MOMSFLOW = {
    # Left out, both come from MOMSFLOW_WRITE_KEY and MOMSFLOW_HOST.
    "WRITE_KEY": os.environ.get("MOMSFLOW_WRITE_KEY"),
    "HOST": os.environ.get("MOMSFLOW_HOST"),
    "PIXEL": {"HOST": "https://events.example.com", "WRITE_KEY": "public-key"},
}

import os

from django.core.asgi import get_asgi_application

from momsflow.integrations.asgi import DeliverAtShutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magazine.settings")
application = DeliverAtShutdown(get_asgi_application())

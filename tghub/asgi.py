"""The ASGI application: Django beside the Channels consumers."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tghub.settings")

application = ProtocolTypeRouter({"http": get_asgi_application()})

"""Settings of the hub; the only reader of the environment.

Every variable stands in `.env.example`; each can also be given as `NAME_FILE`,
the path of a file that holds the value.
"""

import base64
import os
import secrets
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from tghub.arguments import HIGHEST_PORT
from tghub.environment import Environment
from tghub.keys import load_or_create

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
env.read_env(BASE_DIR / ".env")

try:
    VERSION = version("tghub")
except PackageNotFoundError:  # run from a checkout that was not installed
    VERSION = "0.1.0"


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = str(env(name, default=default)).lower()
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is one of {', '.join(allowed)}.")
    return value


def _kept(name: str, make: Callable[[], str]) -> str:
    """Return a secret of the data directory, made at the first start."""
    try:
        return load_or_create(DATA_DIR / name, make)
    except OSError as error:
        raise ImproperlyConfigured(
            f"DATA_DIR is not a directory that can keep {name}: {error.strerror}."
        ) from None


# Where things are

DATA_DIR = Path(env("DATA_DIR", default="./data")).absolute()
try:
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(
        f"DATA_DIR is not a directory, and none can be made there: {error.strerror}."
    ) from None
if DATA_DIR.stat().st_uid == os.geteuid():
    DATA_DIR.chmod(0o700)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env("SECRET_KEY", default="") or _kept("secret_key", get_random_secret_key)

TGHUB_HOST = env("TGHUB_HOST", default="127.0.0.1")
TGHUB_PORT = env.within("TGHUB_PORT", int, 8000, most=HIGHEST_PORT)
# Behind TLS: cookies for https only, plain requests are sent there, HSTS.
TGHUB_HTTPS = env.bool("TGHUB_HTTPS", default=False)

TGHUB_AUTH = _choice("TGHUB_AUTH", "keys", ("keys", "open"))
TGHUB_OPEN_ANYWHERE = env.bool("TGHUB_OPEN_ANYWHERE", default=False)

LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOOPBACK_HOSTS)
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
CORS_ALLOWED_ORIGINS = env.list("CORS_ORIGINS", default=[])
CORS_ALLOW_HEADERS = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-api-key",
    "x-request-id",
    "x-session-string",
    "x-telegram-username",
]
CORS_EXPOSE_HEADERS = ["retry-after", "x-request-id", "content-disposition", "etag"]

# Telegram

TELEGRAM: dict[str, Any] = {
    "API_ID": env.int("TELEGRAM_API_ID", default=env.int("API_ID", default=0)) or None,
    "API_HASH": env("TELEGRAM_API_HASH", default=env("API_HASH", default="")),
    "DC": env("TELEGRAM_DC", default=""),
    "DC_PUBLIC_KEY": env("TELEGRAM_DC_PUBLIC_KEY", default=""),
    "WORKERS": env.within("TGHUB_WORKERS", int, 2, least=1),
    "SOCKET": str(DATA_DIR / "engine.sock"),
    # Stateless sessions that stay connected for a while, in each worker; 0 keeps none.
    "WARM": env.within("TGHUB_WARM_SESSIONS", int, None),
}

# Secrets at rest


def _new_encryption_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


DATABASES = {
    "default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'tghub.sqlite3'}"),
}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = 0
IS_SQLITE = _database["ENGINE"].endswith("sqlite3")
if IS_SQLITE:
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
            "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
        ),
    }
    _database.setdefault("TEST", {})["NAME"] = str(DATA_DIR / "test.sqlite3")
else:
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        "pool": {"min_size": 1, "max_size": 20, "timeout": 10},
        # A hub that freezes in the middle of a transaction must not hold the others up.
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "options": "-c idle_in_transaction_session_timeout=10s -c lock_timeout=15s",
    }

# With PostgreSQL several machines share the rows: a key made here would lock them out.
TGHUB_ENCRYPTION_KEYS: list[str] = env.list("TGHUB_ENCRYPTION_KEYS", default=[]) or (
    _kept("encryption_keys", _new_encryption_key).split(",") if IS_SQLITE else []
)

# What a session may send, unless its own limits say otherwise; 0 is no limit.
TGHUB_SEND_INTERVAL_SECONDS = env.within("TGHUB_SEND_INTERVAL_SECONDS", float, 0.0)
TGHUB_SEND_DAILY_CAP = env.within("TGHUB_SEND_DAILY_CAP", int, 0)
EVENT_RETENTION_DAYS = env.within("EVENT_RETENTION_DAYS", int, 7, least=1, most=36500)
TGHUB_WEBHOOK_ALLOW_NETS = env.list("TGHUB_WEBHOOK_ALLOW_NETS", default=[])
# How many megabytes of files are kept; 0 is no limit.
TGHUB_MEDIA_QUOTA_MB = env.within("TGHUB_MEDIA_QUOTA_MB", int, 0)
REDIS_URL = env("REDIS_URL", default="")

# Django

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "axes",
    "channels",
    "core",
    "accounts",
    "sessions_app",
    "scraper",
    "realtime",
    "sandbox",
    "tghub",
]

MIDDLEWARE = [
    "core.middleware.RequestIDMiddleware",
    "core.middleware.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "tghub.urls"
ASGI_APPLICATION = "tghub.asgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ru", "Русский")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from the packages themselves, so that no build step stands before the first start.
WHITENOISE_USE_FINDERS = True

STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    # Finished files of Telegram, named by their ids: DATA_DIR/media.
    "media": {"BACKEND": "scraper.storage.MediaStorage"},
}

CHANNEL_LAYERS: dict[str, Any] = {
    "default": (
        {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # redis-py's default read timeout equals the layer's blocking read: idle receivers die.
            "CONFIG": {
                "hosts": [{"address": REDIS_URL, "socket_timeout": 15, "max_connections": 2000}]
            },
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    ),
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["core.limits.CallerThrottle"],
    "DEFAULT_PARSER_CLASSES": ["core.json.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["core.json.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.negotiation.OneAnswer",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "tghub",
    "DESCRIPTION": "Many Telegram user accounts behind one hub.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "sessions_app.schema.add_health",
        "scraper.schema.add_files",
        "realtime.schema.add_streams",
        "sessions_app.schema.add_common_refusals",
        "sessions_app.schema.add_summaries",
    ],
}

# A body larger than this is refused before it is parsed; uploads stream past Django.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Brute force on the admin login

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HTTP_RESPONSE_CODE = 429
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
AXES_CLIENT_IP_CALLABLE = "accounts.callers.client_ip"

# Browsers

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = TGHUB_HTTPS
SECURE_HSTS_SECONDS = 31536000 if TGHUB_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TGHUB_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health$"]
CSRF_TRUSTED_ORIGINS = CORS_ALLOWED_ORIGINS
CSRF_FAILURE_VIEW = "core.errors.csrf_failure"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Logs

LOG_LEVEL = _choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error", "critical")).upper()
LOG_FORMAT = _choice("LOG_FORMAT", "text", ("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "redact": {"()": "core.logs.RedactingFilter"},
        "refusals": {"()": "core.logs.RefusalFilter"},
    },
    "formatters": {
        "text": {"()": "core.logs.TextFormatter"},
        "json": {"()": "core.logs.JSONFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["redact"],
        },
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handlers would print past the redaction.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "django.request": {"filters": ["refusals"]},
        # Errors with a traceback otherwise. Filters do not pass on to the loggers below.
        **{
            f"django.security.{name}": {"filters": ["refusals"]}
            for name in (
                "DisallowedHost",
                "DisallowedModelAdminLookup",
                "DisallowedModelAdminToField",
                "DisallowedRedirect",
                "InvalidSessionKey",
                "RequestDataTooBig",
                "SuspiciousFileOperation",
                "SuspiciousMultipartForm",
                "SuspiciousOperation",
                "SuspiciousSession",
                "TooManyFieldsSent",
                "TooManyFilesSent",
            )
        },
        # Where the hub listens stands in its `ready:` line.
        "daphne.server": {"level": "DEBUG" if LOG_LEVEL == "DEBUG" else "WARNING"},
        # Losing a connection is ordinary, and the engine's supervisor tells of it.
        "telethon": {"level": "DEBUG" if LOG_LEVEL == "DEBUG" else "ERROR"},
    },
}
